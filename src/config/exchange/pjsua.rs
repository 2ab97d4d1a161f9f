//! pjsua's configuration: options as on its command line, of which `--add-buddy ADDRESS` names people.

use super::{ExchangeError, Reading, baresip, lines};
use crate::{config::read::words, presence::buddy::Buddy};

const OPTION: &str = "--add-buddy";
const OTHER: &str = "options of pjsua that name nobody";

pub(super) fn read(text: &str, found: &mut Reading) -> Result<(), ExchangeError> {
    for (number, line) in lines::text(text) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if !line.contains(OPTION) {
            found.ignore(OTHER);
            continue;
        }
        let words = match words(line) {
            Ok(words) => words,
            Err(reason) => {
                found.blame(number, reason)?;
                continue;
            }
        };
        let mut words = words.into_iter().take_while(|word| !word.starts_with('#'));
        while let Some(word) = words.next() {
            let address = match word.strip_prefix(OPTION) {
                Some("") => words.next(),
                Some(rest) if rest.starts_with('=') => Some(rest[1..].to_owned()),
                _ => continue,
            };
            // Without brackets, parameters are those of the address.
            let buddy = address.and_then(|text| match baresip::contact(&text) {
                Some(buddy) if text.contains('<') => Some(Buddy { baresip: None, ..buddy }),
                _ => Some(Buddy::new(text)).filter(|buddy| !buddy.address.starts_with("--")),
            });
            match buddy {
                Some(buddy) => found.take(number, buddy)?,
                None => found.blame(number, format!("{OPTION} without an address"))?,
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Format, read as read_text},
        *,
    };

    #[test]
    fn the_buddies_of_a_configuration_are_read_and_the_rest_is_counted() {
        let text = include_bytes!("../../../tests/exchange/pjsua.cfg");
        assert_eq!(Format::of_text(text), Some(Format::Pjsua));
        let found = read_text(text, Format::Pjsua).unwrap();
        let told: Vec<String> = found.buddies.iter().map(|buddy| format!("{buddy} {}", buddy.address)).collect();
        assert_eq!(
            told,
            [
                "sip:bob@example.com sip:bob@example.com",
                "sips:carol@example.com sips:carol@example.com",
                "Dave D. sip:dave@192.0.2.1:5070",
                "sip:eve@example.com;transport=tcp sip:eve@example.com;transport=tcp",
                "sip:frank@example.com sip:frank@example.com",
            ]
        );
        assert_eq!(found.ignored.into_iter().collect::<Vec<_>>(), [(OTHER, 7)]);
        let broken: Vec<String> = found.broken.iter().map(ToString::to_string).collect();
        assert_eq!(broken, ["line 18: --add-buddy without an address", "line 19: a \" is not closed"]);
    }
}
