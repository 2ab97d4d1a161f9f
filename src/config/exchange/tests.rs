//! What holds for every format: detection, limits, hostile input, and what is written is read again.

use proptest::prelude::*;

use super::*;
use crate::{
    config::buddies::{Draft, parse},
    presence::buddy::{address_key, fold},
};

/// Words as people write them; runs of blanks are not kept by every format.
const WORD: &str = "[!-~äß☕]{1,20}( [!-~äß☕]{1,20}){0,3}";

fn words() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(WORD, 0..3)
}

/// Lists as `buddies.toml` may have them: each address and each word once.
fn lists() -> impl Strategy<Value = Buddies> {
    let address = "(sip:|sips:|pres:|)[a-z=+][a-z=+*.-]{0,7}@[a-z]{1,8}(\\.example)?(:50[0-9]{2})?(;transport=tcp)?";
    let name = prop::option::of(WORD);
    let parameters = prop::option::of("[a-z]{1,4}=[a-z\"]{1,4}(;[a-z]{1,3})?");
    let account = prop::option::of("[a-z]{1,5}");
    let buddy = (address, name, words(), words(), account, any::<bool>(), any::<bool>(), parameters).prop_map(
        |(address, name, aliases, groups, account, watch, mark, baresip)| Buddy {
            name,
            aliases,
            groups,
            account,
            watch,
            mark,
            baresip,
            ..Buddy::new(address)
        },
    );
    prop::collection::vec(buddy, 0..20).prop_map(|found| {
        let fit = found.into_iter().filter_map(|buddy| clean::buddy(buddy).ok()).collect();
        let mut draft = Draft::of(&Buddies::default());
        merge(&mut draft, fit);
        draft.list().clone()
    })
}

/// Returns what a format keeps of somebody.
fn kept(buddy: &Buddy, format: Format) -> Buddy {
    let address = if format == Format::Csv || format == Format::Json {
        buddy.address.clone()
    } else {
        clean::uri(&buddy.address)
    };
    let bare = Buddy { name: buddy.name.clone(), ..Buddy::new(address) };
    match format {
        Format::Json => buddy.clone(),
        Format::Csv => Buddy { baresip: None, ..buddy.clone() },
        Format::VCard => Buddy { aliases: buddy.aliases.clone(), groups: buddy.groups.clone(), ..bare },
        Format::Baresip => Buddy { watch: buddy.watch, baresip: buddy.baresip.clone(), ..bare },
        Format::ResourceLists | Format::Pjsua => Buddy { groups: buddy.groups.clone(), ..bare },
    }
}

/// Lists in XML come by group, and a group has one spelling.
fn sorted(mut list: Vec<Buddy>) -> Vec<Buddy> {
    for buddy in &mut list {
        buddy.groups = buddy.groups.iter().map(|group| fold(group)).collect();
        buddy.groups.sort();
    }
    list.sort_by_key(|buddy| address_key(&buddy.address));
    list
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(list in lists()) {
        for format in Format::ALL.into_iter().filter(|format| format.writes()) {
            let text = write(&list, format).unwrap();
            let found = read(text.as_bytes(), format).unwrap();
            prop_assert_eq!(&found.broken, &[], "{}: {}", format, text);
            let mut expected: Vec<Buddy> = list.0.iter().map(|buddy| kept(buddy, format)).collect();
            let mut buddies = found.buddies;
            if format == Format::ResourceLists {
                (expected, buddies) = (sorted(expected), sorted(buddies));
            }
            prop_assert_eq!(buddies, expected, "{}: {}", format, text);
            if !list.0.is_empty() {
                prop_assert_eq!(Format::of_text(text.as_bytes()), Some(format), "{}", text);
            }
            prop_assert!(text.is_empty() || text.ends_with('\n'));
        }
    }

    #[test]
    fn whatever_is_read_and_merged_is_a_list(
        text in "([ -~äß☕\u{0}\u{202e}\t]|\r?\n|\"|<sip:|@|;|,|BEGIN:VCARD\r?\n|END:VCARD\n|FN:|\nIMPP:sip:|\\{\"address\":|--add-buddy |<list name=\"|<entry uri=\"|\"/>){0,60}"
    ) {
        let heads = ["", "<resource-lists>", "[", "address,name,groups\n", "BEGIN:VCARD\n"];
        for (format, head) in Format::ALL.into_iter().flat_map(|format| heads.map(|head| (format, head))) {
            let Ok(found) = read(format!("{head}{text}").as_bytes(), format) else { continue };
            let mut draft = Draft::of(&Buddies::default());
            merge(&mut draft, found.buddies);
            // What buddies.toml would refuse would lose a whole import.
            let mut toml = String::new();
            for buddy in &draft.list().0 {
                toml += &["[[buddy]]\n", &toml::to_string(buddy).unwrap()].concat();
            }
            prop_assert_eq!(&parse(&toml, Path::new("buddies.toml")).unwrap(), draft.list());
        }
    }

    #[test]
    fn no_card_is_a_reason_to_panic(
        text in "([\\\\\"=;:,. \tA-C0-3äß☕\u{0}]|\r?\n|\n |\r|\\\\n|=\r?\n|=C3|(N|FN|TEL|BDAY|REV|GEO|TZ|PHOTO|IMPP|CATEGORIES|X-SIP|GENDER|CLIENTPIDMAP)[:;]|;?(ENCODING=(QUOTED-PRINTABLE|b)|CHARSET=(utf-16|utf-7|x)|VALUE=(uri|date|time|integer|text)|PREF=|TYPE=\"?|JSCOMPS=\"?|SORT-AS=)[:;]?){0,40}"
    ) {
        let _ = read(format!("BEGIN:VCARD\n{text}\nEND:VCARD\n").as_bytes(), Format::VCard);
    }

    #[test]
    fn no_bytes_are_a_reason_to_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Format::of_text(&bytes);
        for format in Format::ALL {
            let _ = read(&bytes, format);
            let _ = read(&[b"BEGIN:VCARD\n", &bytes[..], b"\nEND:VCARD"].concat(), format);
        }
    }
}

#[test]
fn a_format_is_told_by_word_and_by_name() {
    for format in Format::ALL {
        assert_eq!(format.to_string().parse(), Ok(format));
    }
    assert_eq!("Resource-Lists".parse(), Ok(Format::ResourceLists));
    let error = "xls".parse::<Format>().unwrap_err();
    assert_eq!(error, "\"xls\" is no format: write baresip, vcard, csv, xml, json, pjsua");
    for (name, format) in [
        ("/home/a/.baresip/contacts", Some(Format::Baresip)),
        ("people.VCF", Some(Format::VCard)),
        ("a.ndjson", Some(Format::Json)),
        ("pjsua.cfg", Some(Format::Pjsua)),
        ("index.xml", Some(Format::ResourceLists)),
        ("notes.txt", None),
    ] {
        assert_eq!(Format::of_name(Path::new(name)), format, "{name}");
    }
    assert_eq!(Format::of_text(b"<sip:alice@example.com>;presence=p2p\n"), Some(Format::Baresip));
    assert_eq!(Format::of_text(b"hello world\n"), None);
    assert_eq!(Format::of_text(b""), None);
}

#[test]
fn what_is_too_large_or_of_another_encoding_is_refused_whole() {
    let people = "a@h\n".repeat(MOST + 1);
    assert_eq!(read(people.as_bytes(), Format::Baresip), Err(ExchangeError::TooMany));
    let broken = "\"\n".repeat(MOST + 1);
    assert_eq!(read(broken.as_bytes(), Format::Baresip), Err(ExchangeError::TooMany));
    let groups = (0..MOST_WORDS / 10).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let addresses = (0..11).map(|n| format!("IMPP:sip:a{n}@h\n")).collect::<Vec<_>>().concat();
    let card = format!("BEGIN:VCARD\n{addresses}CATEGORIES:{groups}\nEND:VCARD\n");
    assert_eq!(read(card.as_bytes(), Format::VCard), Err(ExchangeError::TooMany));
    let photo = format!("BEGIN:VCARD\nIMPP:sip:a@h\nPHOTO:{}\nEND:VCARD\n", "x".repeat(4 * 1024 * 1024));
    assert_eq!(
        read(photo.as_bytes(), Format::VCard).unwrap().broken[0].to_string(),
        "line 1: the card has more than 4 MiB"
    );
    assert_eq!(read(b"address\na@h\n\xe9@h\n", Format::Csv), Err(ExchangeError::NotUtf8 { line: 3 }));
    assert_eq!(read(&vec![b'\n'; MAX_BYTES + 1], Format::Json), Err(ExchangeError::TooLarge));
}

#[test]
fn a_long_list_takes_no_look_through_it_for_each() {
    let list = Buddies(
        (0..20_000)
            .map(|n| Buddy {
                name: Some(format!("n{n}")),
                groups: vec!["team".into(), format!("g{}", n % 1000)],
                ..Buddy::new(format!("sip:a{n}@h"))
            })
            .collect(),
    );
    let everywhere = (0..20_000).map(|n| format!("<list name='{n}'><entry uri='a@h'/></list>"));
    let everywhere = everywhere.collect::<Vec<_>>().concat();
    let found = read(format!("<resource-lists>{everywhere}</resource-lists>").as_bytes(), Format::ResourceLists);
    assert_eq!(found.unwrap().buddies[0].groups.len(), 20_000);
    for format in Format::ALL.into_iter().filter(|format| format.writes()) {
        let text = write(&list, format).unwrap();
        assert_eq!(read(text.as_bytes(), format).unwrap().buddies.len(), 20_000, "{format}");
    }
}
