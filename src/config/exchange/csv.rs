//! A table with a line of column names (RFC 4180): read in any order of columns, parted by commas, semicolons or tabs.
//!
//! What a spreadsheet would take for a formula has a `'` before it, which is taken off again when it is read. Lines end
//! in LF alone, which every reader takes and no diff complains about.

use csv::{Reader, ReaderBuilder, StringRecord, Trim, WriterBuilder};

use super::{ExchangeError, Format, Reading, clean, lines::Places};
use crate::presence::buddy::{Buddies, Buddy};

/// What a column is about.
#[derive(Clone, Copy, PartialEq)]
enum Column {
    Name,
    Address,
    Groups,
    Aliases,
    Account,
    Watch,
    Mark,
}

/// The columns that are written, with the names under which they are known elsewhere.
const COLUMNS: [(Column, &str, &[&str]); 7] = [
    (Column::Name, "name", &["displayname", "fullname"]),
    (Column::Address, "address", &["sip", "uri", "sipaddress", "sipuri"]),
    (Column::Groups, "groups", &["group", "categories"]),
    (Column::Aliases, "aliases", &["alias", "nickname"]),
    (Column::Account, "account", &[]),
    (Column::Watch, "watch", &[]),
    (Column::Mark, "mark", &[]),
];

pub(super) fn read(text: &str, found: &mut Reading) -> Result<(), ExchangeError> {
    let mut base = text.len() - text.trim_start().len();
    let delimiter = delimiter(&text[base..]);
    let mut reader = reader(&text[base..], delimiter);
    let (mut columns, mut record, mut places) = (None, StringRecord::new(), Places::new(text));
    loop {
        let start = base + reader.position().byte() as usize;
        if !reader.read_record(&mut record).unwrap_or(false) {
            return Ok(());
        }
        let whole = &text[start..base + reader.position().byte() as usize];
        let blank = whole.len() - whole.trim_start_matches(['\r', '\n']).len();
        let line = places.line_of(start + blank);
        let Some(columns) = &columns else {
            let named: Vec<Option<Column>> = record.iter().map(column).collect();
            if !named.contains(&Some(Column::Address)) {
                let reason = "its first line names no column `address`, such as name,address,groups";
                return Err(ExchangeError::Unlike(Format::Csv, reason.to_owned()));
            }
            columns = Some(named);
            continue;
        };
        if start + whole.len() == text.len() && whole.matches('"').count() % 2 == 1 {
            // It took everything that follows along.
            found.blame(line, "a \" is not closed")?;
            let start = start + blank;
            base = text[start..].find('\n').map_or(text.len(), |line| start + line + 1);
            reader = self::reader(&text[base..], delimiter);
            continue;
        }
        match buddy(columns, &record) {
            Ok(buddy) => found.take(line, buddy)?,
            Err(reason) => found.blame(line, reason)?,
        }
    }
}

pub(super) fn write(list: &Buddies) -> String {
    let mut writer = WriterBuilder::new().from_writer(Vec::new());
    // Nothing is wrong with memory, and no record has another length.
    let _ = writer.write_record(COLUMNS.map(|(_, name, _)| name));
    for buddy in &list.0 {
        let cells = COLUMNS.map(|(column, ..)| match column {
            Column::Name => buddy.name.clone().unwrap_or_default(),
            Column::Address => buddy.address.clone(),
            Column::Groups => buddy.groups.join(", "),
            Column::Aliases => buddy.aliases.join(", "),
            Column::Account => buddy.account.clone().unwrap_or_default(),
            Column::Watch => buddy.watch.to_string(),
            Column::Mark => buddy.mark.to_string(),
        });
        let _ = writer.write_record(cells.map(harmless));
    }
    writer.into_inner().ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
}

/// Tells whether a line names the columns of such a table.
pub(super) fn is_header(line: &str) -> bool {
    let mut record = StringRecord::new();
    let is_there = reader(line, delimiter(line)).read_record(&mut record).unwrap_or(false);
    is_there && record.iter().any(|name| column(name) == Some(Column::Address))
}

fn reader(text: &str, delimiter: u8) -> Reader<&[u8]> {
    ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(Trim::All)
        .delimiter(delimiter)
        .from_reader(text.as_bytes())
}

/// Returns what parts the columns of the first line.
fn delimiter(text: &str) -> u8 {
    let first = text.lines().next().unwrap_or_default();
    let count = |byte: u8| first.bytes().filter(|own| *own == byte).count();
    [b',', b';', b'\t'].into_iter().rev().max_by_key(|byte| count(*byte)).unwrap_or(b',')
}

fn column(header: &str) -> Option<Column> {
    let known: String = header.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_lowercase();
    COLUMNS
        .into_iter()
        .find(|(_, name, others)| *name == known || others.contains(&known.as_str()))
        .map(|(column, ..)| column)
}

fn buddy(columns: &[Option<Column>], record: &StringRecord) -> Result<Buddy, String> {
    let mut buddy = Buddy::new("");
    for (column, cell) in columns.iter().zip(record).filter(|(_, cell)| !cell.is_empty()) {
        let text = plain(cell);
        let words = || text.split(',').map(str::to_owned);
        match column {
            Some(Column::Name) => buddy.name = Some(text.to_owned()),
            Some(Column::Address) => text.clone_into(&mut buddy.address),
            Some(Column::Groups) => buddy.groups.extend(words()),
            Some(Column::Aliases) => buddy.aliases.extend(words()),
            Some(Column::Account) => buddy.account = Some(text.to_owned()),
            Some(Column::Watch) => buddy.watch = flag(text)?,
            Some(Column::Mark) => buddy.mark = flag(text)?,
            None => {}
        }
    }
    if buddy.address.is_empty() { Err("it has no address".to_owned()) } else { Ok(buddy) }
}

fn flag(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" | "x" => Ok(true),
        "false" | "no" | "0" => Ok(false),
        _ => Err(format!("write true or false, not {}", clean::short(text))),
    }
}

/// Returns whether a spreadsheet would calculate a cell, or would if it had fewer `'` before it.
fn acts(cell: &str) -> bool {
    cell.trim_start_matches('\'').starts_with(['=', '+', '-', '@'])
}

fn harmless(cell: String) -> String {
    if acts(&cell) { format!("'{cell}") } else { cell }
}

fn plain(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|rest| acts(rest)).unwrap_or(cell)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Format, Imported, read as read_text},
        *,
    };

    #[test]
    fn a_table_of_a_spreadsheet_is_read_and_each_broken_line_told() {
        let text = include_bytes!("../../../tests/exchange/people.csv");
        assert_eq!(Format::of_text(text), Some(Format::Csv));
        let found = read_text(text, Format::Csv).unwrap();
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        assert_eq!(
            found.buddies[0],
            Buddy {
                name: Some("Alice \"Al\" Liddell".into()),
                groups: words(&["team", "oncall"]),
                aliases: words(&["al"]),
                mark: true,
                ..Buddy::new("sip:alice@example.com")
            }
        );
        assert_eq!(found.buddies[1], Buddy { watch: false, ..Buddy::new("bob@192.0.2.1") });
        assert_eq!(found.buddies[2].name.as_deref(), Some("=cmd|' /C calc'!A0"));
        let broken: Vec<String> = found.broken.iter().map(ToString::to_string).collect();
        assert_eq!(
            broken,
            [
                "line 5: it has no address",
                "line 8: write true or false, not \"perhaps\"",
                "line 9: \"n/a or none\" is no SIP address: write sip:bob@example.com or bob@example.com",
                "line 11: a \" is not closed",
            ]
        );
        let last = found.buddies.last().unwrap();
        assert_eq!((found.buddies.len(), last.address.as_str()), (4, "sip:last@example.com"));
    }

    #[test]
    fn columns_have_any_order_and_separator_and_one_must_be_the_address() {
        for text in [
            "SIP address;Display Name;Phone\r\nsip:a@h;A;1\r\n",
            "phone\turi\tname\n1\tsip:a@h\tA",
            "\u{feff}\n\"sip\",\"full_name\"\n\"sip:a@h\",\"A\"\n",
        ] {
            let found = read_text(text.as_bytes(), Format::Csv).unwrap();
            assert_eq!(found.buddies, [Buddy { name: Some("A".into()), ..Buddy::new("sip:a@h") }], "{text:?}");
        }
        let error = read_text(b"alice,sip:alice@example.com\n", Format::Csv).unwrap_err();
        assert!(error.to_string().starts_with("it is no csv: its first line names no column `address`"));
        assert_eq!(read_text(b"", Format::Csv), Ok(Imported::default()));
    }

    #[test]
    fn nothing_that_is_written_is_a_formula() {
        let evil = Buddy {
            name: Some("=HYPERLINK(\"http://h\")".into()),
            groups: vec!["'+1".into()],
            ..Buddy::new("+4930123@example.com")
        };
        let list = Buddies(vec![evil, Buddy { watch: false, ..Buddy::new("bob@h") }]);
        let text = write(&list);
        assert_eq!(
            text,
            "\
name,address,groups,aliases,account,watch,mark
\"'=HYPERLINK(\"\"http://h\"\")\",'+4930123@example.com,''+1,,,true,false
,bob@h,,,,false,false
"
        );
        assert_eq!(read_text(text.as_bytes(), Format::Csv).unwrap().buddies, list.0);
    }
}
