//! Names of ICMP types and codes in scripts, and their numbers (RFC 792, RFC 1812, RFC 4443). `peer` looks numbers up,
//! `seen` names.

use super::script::Word;

/// A type with its codes: name, numbers over IPv4 and over IPv6, and the codes with theirs.
struct Kind {
    name: &'static str,
    v4: Option<u8>,
    v6: Option<u8>,
    codes: &'static [(&'static str, Option<u8>, Option<u8>)],
}

const KINDS: [Kind; 8] = [
    Kind {
        name: "unreachable",
        v4: Some(3),
        v6: Some(1),
        codes: &[
            ("net_unreachable", Some(0), Some(0)),
            ("host_unreachable", Some(1), Some(3)),
            ("protocol_unreachable", Some(2), None),
            ("port_unreachable", Some(3), Some(4)),
            ("frag_needed", Some(4), None),
            ("source_route_failed", Some(5), None),
            ("net_unknown", Some(6), None),
            ("host_unknown", Some(7), None),
            ("source_host_isolated", Some(8), None),
            ("net_prohibited", Some(9), None),
            ("host_prohibited", Some(10), None),
            ("net_unreachable_for_tos", Some(11), None),
            ("host_unreachable_for_tos", Some(12), None),
            ("packet_filtered", Some(13), None),
            ("admin_prohibited", Some(13), Some(1)),
            ("precedence_violation", Some(14), None),
            ("precedence_cutoff", Some(15), None),
            ("no_route", None, Some(0)),
            ("not_neighbour", None, Some(2)),
            ("addr_unreachable", None, Some(3)),
        ],
    },
    Kind { name: "packet_too_big", v4: None, v6: Some(2), codes: &[] },
    Kind { name: "source_quench", v4: Some(4), v6: None, codes: &[] },
    Kind { name: "redirect", v4: Some(5), v6: Some(137), codes: &[] },
    Kind {
        name: "time_exceeded",
        v4: Some(11),
        v6: Some(3),
        codes: &[("ttl_exceeded_in_transit", Some(0), Some(0)), ("frag_reass_exceeded", Some(1), Some(1))],
    },
    Kind { name: "parameter_problem", v4: Some(12), v6: Some(4), codes: &[] },
    Kind { name: "echo_request", v4: Some(8), v6: Some(128), codes: &[] },
    Kind { name: "echo_reply", v4: Some(0), v6: Some(129), codes: &[] },
];

/// Type and code by their words. The error names the word that is not known.
pub(super) fn numbers(v6: bool, kind: &Word, code: Option<&Word>) -> Result<(u8, u8), String> {
    let version = if v6 { "IPv6" } else { "IPv4" };
    let pick = |v4: Option<u8>, six: Option<u8>| if v6 { six } else { v4 };
    let byte = |number: i64| u8::try_from(number).map_err(|_| format!("{number} is no ICMP type or code"));
    let known = match kind {
        Word::Number(number) => {
            let number = byte(*number)?;
            let known = KINDS.iter().find(|known| pick(known.v4, known.v6) == Some(number));
            known.map_or((number, &[][..]), |known| (number, known.codes))
        }
        Word::Name(name) => {
            let known = KINDS.iter().find(|known| known.name == name.as_str());
            let number = known.and_then(|known| Some((pick(known.v4, known.v6)?, known.codes)));
            number.ok_or_else(|| {
                let names = KINDS.iter().filter(|known| pick(known.v4, known.v6).is_some()).map(|known| known.name);
                let names = names.collect::<Vec<_>>().join(", ");
                format!("`{name}` is no ICMP type over {version}: expected a number or one of {names}")
            })?
        }
    };
    let code = match code {
        None => 0,
        Some(Word::Number(number)) => byte(*number)?,
        Some(Word::Name(name)) => {
            let named = known.1.iter().find(|(known, ..)| known == name);
            let plain = || name.strip_prefix("code_").and_then(|number| number.parse().ok());
            let number = named.and_then(|(_, v4, six)| pick(*v4, *six)).or_else(plain);
            number.ok_or_else(|| {
                let names = known.1.iter().filter(|(_, v4, six)| pick(*v4, *six).is_some()).map(|(name, ..)| *name);
                let names = names.collect::<Vec<_>>().join(", ");
                format!(
                    "`{name}` is no code of this ICMP type over {version}: expected a number, code_N or one of {names}"
                )
            })?
        }
    };
    Ok((known.0, code))
}

/// The words of a type and a code.
pub(super) fn names(v6: bool, kind: u8, code: u8) -> (Word, Option<Word>) {
    let pick = |v4: Option<u8>, six: Option<u8>| if v6 { six } else { v4 };
    let Some(known) = KINDS.iter().find(|known| pick(known.v4, known.v6) == Some(kind)) else {
        return (Word::Number(kind.into()), Some(Word::Number(code.into())));
    };
    let named = known.codes.iter().find(|(_, v4, six)| pick(*v4, *six) == Some(code));
    let code = match named {
        Some((name, ..)) => Some(Word::Name((*name).to_owned())),
        None if code == 0 && known.codes.is_empty() => None,
        None => Some(Word::Name(format!("code_{code}"))),
    };
    (Word::Name(known.name.to_owned()), code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_the_name_that_gives_it() {
        for v6 in [false, true] {
            for kind in 0..=255 {
                for code in 0..=20 {
                    let (name, code_name) = names(v6, kind, code);
                    assert_eq!(numbers(v6, &name, code_name.as_ref()), Ok((kind, code)));
                }
            }
        }
    }

    #[test]
    fn a_word_that_is_not_known_is_named() {
        let word = |name: &str| Word::Name(name.to_owned());
        assert!(numbers(true, &word("source_quench"), None).is_err_and(|why| why.contains("source_quench")));
        let code = numbers(false, &word("unreachable"), Some(&word("nowhere")));
        assert!(code.is_err_and(|why| why.contains("nowhere")));
    }
}
