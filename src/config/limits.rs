//! `[limits]`: how often what may be done.

use std::time::Duration;

use crate::config::reader::{Field, Reader};
use crate::limits::limiter::Settings;
use crate::limits::rate::Rate;

/// The longest time between two reports of a node, in milliseconds.
const LONGEST_SHARE: u64 = 60_000;
/// The shortest one that is not off.
const SHORTEST_SHARE: u64 = 100;

/// Reads them.
pub fn read(reader: &mut Reader) -> Settings {
    let default = Settings::default();
    let mut rate = |name, example, meaning, default: Option<Rate>| {
        let field = Field {
            name,
            example,
            meaning,
        };
        reader.with(field, default, |text| match text {
            "off" => Ok(None),
            text => text
                .parse()
                .map(Some)
                .map_err(|error: _| format!("{error}, or `off`")),
        })
    };
    let key = rate(
        "limits.key",
        "50/s burst 100",
        "How often one API key may be used that has no rate of its own, or `off`.",
        default.key,
    );
    let organization = rate(
        "limits.organization",
        "200/s burst 400",
        "How often one organization may be called, by all its keys together, or `off`.",
        default.organization,
    );
    let mint = rate(
        "limits.mint",
        "100/s burst 500",
        "How often a token may be minted for one organization; `off` where nothing is set.",
        default.mint,
    );
    let failures = rate(
        "limits.failures",
        "10/min burst 20",
        "How many calls and logins may fail from one address (IPv6: one /64), or `off`.",
        default.failures,
    );
    let usual = default
        .share_every
        .map_or(0, |every| every.as_millis() as u64);
    let share = Field {
        name: "limits.share_ms",
        example: "1000",
        meaning: "How often nodes on one Redis tell each other what was used; 0: each for itself.",
    };
    let share = reader.with(share, usual, |text| match text.parse::<u64>() {
        Ok(0) => Ok(0),
        Ok(share) if (SHORTEST_SHARE..=LONGEST_SHARE).contains(&share) => Ok(share),
        Ok(_) => Err(format!("must be 0 or {SHORTEST_SHARE} to {LONGEST_SHARE}")),
        Err(error) => Err(error.to_string()),
    });
    Settings {
        key,
        organization,
        mint,
        failures,
        share_every: (share > 0).then(|| Duration::from_millis(share)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::source::{Flags, Source};

    fn read_table(fields: &[(&str, &str)]) -> (Settings, Vec<String>) {
        let variables = fields.iter().map(|(field, text)| {
            let name = format!("TICKETGATE__LIMITS__{}", field.to_uppercase());
            (name, (*text).to_owned())
        });
        let mut reader = Reader::new(Source::gather_from(&Flags::default(), variables));
        let settings = read(&mut reader);
        (settings, reader.source.finish())
    }

    #[test]
    fn each_limit_can_be_set_and_be_off() {
        assert_eq!(read_table(&[]), (Settings::default(), vec![]));
        let all = ["key", "organization", "mint", "failures"];
        let (off, mistakes) =
            read_table(&[&all.map(|name| (name, "off"))[..], &[("share_ms", "0")]].concat());
        let rates = [off.key, off.organization, off.mint, off.failures];
        assert_eq!(
            (rates, off.share_every, mistakes),
            ([None; 4], None, vec![])
        );
        let (set, _) = read_table(&all.map(|name| (name, "7/min burst 9")));
        let rate = "7/min burst 9".parse().ok();
        assert_eq!(
            [set.key, set.organization, set.mint, set.failures],
            [rate; 4]
        );
    }

    #[test]
    fn mistakes_name_the_field_and_the_cure() {
        for (field, text, cure) in [
            ("key", "50", "a rate is like `50/s burst 100`"),
            ("failures", "0/s", "or `off`"),
            ("share_ms", "5", "must be 0 or 100 to 60000"),
            ("users", "5", "limits.users"),
        ] {
            let (_, mistakes) = read_table(&[(field, text)]);
            let [mistake] = &mistakes[..] else {
                panic!("{field}: {mistakes:?}")
            };
            assert!(
                mistake.contains(cure) && mistake.contains(&format!("limits.{field}")),
                "{mistake}"
            );
        }
    }
}
