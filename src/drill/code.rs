//! The Python of a script, `%{ ... }%`: assertions that compare fields of `tcp_info` are evaluated, everything else is
//! counted as skipped. `run` calls it at the moment of the event.
//!
//! Known: integers, names of fields (`tcpi_*`) and constants (`TCPI_*`, `TCP_CA_*`), parentheses, `* // + - & | ^ << >>`,
//! comparisons, `not`, `and`, `or`. Python's `/` gives a fraction, so it is not known.

use crate::event::{Phase, State};
use crate::socket::TcpInfo;

/// What became of the code of one event.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct Evaluated {
    /// Assertions that are true.
    pub(super) held: usize,
    /// Statements that were not evaluated, each with the name that is not known, if that is the reason.
    pub(super) skipped: Vec<String>,
    /// The first assertion that is false, with the values of its names.
    pub(super) failed: Option<String>,
}

/// Runs the code. `info`: what the socket under test shows.
pub(super) fn evaluate(code: &str, info: Option<&TcpInfo>) -> Evaluated {
    let mut evaluated = Evaluated::default();
    for line in code.lines().flat_map(|line| line.split(';')) {
        let statement = line.split('#').next().unwrap_or_default().trim();
        if statement.is_empty() {
            continue;
        }
        let condition = statement.strip_prefix("assert").filter(|rest| rest.starts_with([' ', '(', '\t']));
        let (mut names, mut unknown) = (Vec::new(), None);
        let value = condition.and_then(|condition| {
            let mut parser =
                Parser { tokens: tokens(condition)?, at: 0, info, names: &mut names, unknown: &mut unknown };
            let value = parser.or(0)?;
            // What follows a comma is a message.
            matches!(parser.peek(), None | Some(Token::Sign(","))).then_some(value)
        });
        match value {
            None => evaluated.skipped.push(match unknown {
                Some(name) => format!("{statement}: {name} is not known"),
                None => statement.to_owned(),
            }),
            Some(0) => {
                let values: Vec<_> = names.iter().map(|(name, value)| format!("{name} is {value}")).collect();
                evaluated.failed.get_or_insert(format!("{statement}: {}", values.join(", ")));
            }
            Some(_) => evaluated.held += 1,
        }
    }
    evaluated
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Number(i64),
    Name(String),
    Sign(&'static str),
}

const SIGNS: [&str; 22] = [
    "<<", ">>", "==", "!=", "<=", ">=", "//", "<", ">", "+", "-", "*", "&", "|", "^", "(", ")", ",", "~", "'", "\"",
    ".",
];

/// The tokens up to a string. `None` for a character that is not known.
fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if first.is_ascii_digit() {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
            let (number, behind) = rest.split_at(end);
            let hex = number.strip_prefix("0x").map(|digits| i64::from_str_radix(digits, 16));
            tokens.push(Token::Number(hex.unwrap_or_else(|| number.parse()).ok()?));
            rest = behind;
        } else if first.is_ascii_alphabetic() || first == '_' {
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
            let (name, behind) = rest.split_at(end);
            tokens.push(Token::Name(name.to_owned()));
            rest = behind;
        } else {
            let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign))?;
            if matches!(*sign, "'" | "\"") {
                return Some(tokens); // a message, not evaluated
            }
            tokens.push(Token::Sign(sign));
            rest = &rest[sign.len()..];
        }
        rest = rest.trim_start();
    }
    Some(tokens)
}

/// Expressions nest at most this deep.
const DEEPEST: usize = 32;

struct Parser<'a> {
    tokens: Vec<Token>,
    at: usize,
    info: Option<&'a TcpInfo>,
    /// The names that were read, with their values.
    names: &'a mut Vec<(String, i64)>,
    /// The first name that has no value.
    unknown: &'a mut Option<String>,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn take(&mut self, signs: &[&'static str]) -> Option<&'static str> {
        let Some(Token::Sign(sign)) = self.peek() else { return None };
        let sign = signs.iter().find(|known| *known == sign)?;
        self.at += 1;
        Some(sign)
    }

    fn keyword(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Name(name)) if name == word);
        self.at += usize::from(found);
        found
    }

    fn or(&mut self, depth: usize) -> Option<i64> {
        let mut value = self.and(depth)?;
        while self.keyword("or") {
            let next = self.and(depth)?;
            value = if value == 0 { next } else { value };
        }
        Some(value)
    }

    fn and(&mut self, depth: usize) -> Option<i64> {
        let mut value = self.not(depth)?;
        while self.keyword("and") {
            let next = self.not(depth)?;
            value = if value == 0 { value } else { next };
        }
        Some(value)
    }

    fn not(&mut self, depth: usize) -> Option<i64> {
        if depth == DEEPEST {
            return None;
        }
        if self.keyword("not") {
            return Some(i64::from(self.not(depth + 1)? == 0));
        }
        self.comparison(depth)
    }

    /// One comparison, or a chain as Python has it: `1 < tcpi_unacked <= 3`.
    fn comparison(&mut self, depth: usize) -> Option<i64> {
        let mut left = self.level(0, depth)?;
        let mut result = None;
        while let Some(sign) = self.take(&["==", "!=", "<=", ">=", "<", ">"]) {
            let right = self.level(0, depth)?;
            let holds = match sign {
                "==" => left == right,
                "!=" => left != right,
                "<=" => left <= right,
                ">=" => left >= right,
                "<" => left < right,
                _ => left > right,
            };
            result = Some(i64::from(holds && result != Some(0)));
            left = right;
        }
        Some(result.unwrap_or(left))
    }

    /// The binary operators, from the one that binds least.
    fn level(&mut self, level: usize, depth: usize) -> Option<i64> {
        const LEVELS: [&[&str]; 6] = [&["|"], &["^"], &["&"], &["<<", ">>"], &["+", "-"], &["*", "//"]];
        let Some(signs) = LEVELS.get(level) else { return self.unary(depth) };
        let mut value = self.level(level + 1, depth)?;
        while let Some(sign) = self.take(signs) {
            let right = self.level(level + 1, depth)?;
            value = match sign {
                "|" => value | right,
                "^" => value ^ right,
                "&" => value & right,
                "<<" => value.checked_shl(u32::try_from(right).ok()?)?,
                ">>" => value.checked_shr(u32::try_from(right).ok()?)?,
                "+" => value.checked_add(right)?,
                "-" => value.checked_sub(right)?,
                "*" => value.checked_mul(right)?,
                _ => value.checked_div_euclid(right).filter(|_| right > 0)?,
            };
        }
        Some(value)
    }

    fn unary(&mut self, depth: usize) -> Option<i64> {
        if depth == DEEPEST {
            return None;
        }
        if self.take(&["-"]).is_some() {
            return self.unary(depth + 1)?.checked_neg();
        }
        if self.take(&["~"]).is_some() {
            return Some(!self.unary(depth + 1)?);
        }
        if self.take(&["("]).is_some() {
            let value = self.or(depth + 1)?;
            return self.take(&[")"]).map(|_| value);
        }
        let token = self.peek()?.clone();
        self.at += 1;
        match token {
            Token::Number(number) => Some(number),
            Token::Name(name) => {
                let Some(value) = constant(&name).or_else(|| field(&name, self.info?)) else {
                    self.unknown.get_or_insert(name);
                    return None;
                };
                if name.starts_with("tcpi_") {
                    self.names.push((name, value));
                }
                Some(value)
            }
            Token::Sign(_) => None,
        }
    }
}

/// States in the order of Linux's numbers, with the names of Linux and of FreeBSD. The two count differently, but
/// scripts compare a field with a name.
const STATES: [(State, [&str; 2]); 11] = [
    (State::Established, ["TCP_ESTABLISHED", "TCPI_ESTABLISHED"]),
    (State::SynSent, ["TCP_SYN_SENT", "TCPI_SYN_SENT"]),
    (State::SynReceived, ["TCP_SYN_RECV", "TCPI_SYN_RECEIVED"]),
    (State::FinWait1, ["TCP_FIN_WAIT1", "TCPI_FIN_WAIT_1"]),
    (State::FinWait2, ["TCP_FIN_WAIT2", "TCPI_FIN_WAIT_2"]),
    (State::TimeWait, ["TCP_TIME_WAIT", "TCPI_TIME_WAIT"]),
    (State::Closed, ["TCP_CLOSE", "TCPI_CLOSED"]),
    (State::CloseWait, ["TCP_CLOSE_WAIT", "TCPI_CLOSE_WAIT"]),
    (State::LastAck, ["TCP_LAST_ACK", "TCPI_LAST_ACK"]),
    (State::Listen, ["TCP_LISTEN", "TCPI_LISTEN"]),
    (State::Closing, ["TCP_CLOSING", "TCPI_CLOSING"]),
];

fn constant(name: &str) -> Option<i64> {
    if let Some(at) = STATES.iter().position(|(_, names)| names.contains(&name)) {
        return Some(at as i64 + 1);
    }
    Some(match name {
        "True" | "TCPI_OPT_TIMESTAMPS" | "TCP_CA_Disorder" => 1,
        "False" | "TCP_CA_Open" => 0,
        "TCPI_OPT_SACK" | "TCP_CA_CWR" => 2,
        "TCPI_OPT_WSCALE" | "TCP_CA_Loss" => 4,
        "TCP_CA_Recovery" => 3,
        "TCPI_OPT_ECN" => 8,
        _ => return None,
    })
}

/// A field of `tcp_info` as Linux counts it: cwnd and ssthresh in segments, times in microseconds.
fn field(name: &str, info: &TcpInfo) -> Option<i64> {
    let segments =
        |bytes: u64| if bytes == u64::MAX { 0x7fff_ffff } else { (bytes / u64::from(info.snd_mss.max(1))) as i64 };
    Some(match name {
        "tcpi_state" => STATES.iter().position(|(state, _)| *state == info.state)? as i64 + 1,
        "tcpi_options" => info.options.into(),
        "tcpi_snd_wscale" => info.snd_wscale.into(),
        "tcpi_rcv_wscale" => info.rcv_wscale.into(),
        "tcpi_rtt" => info.rtt.as_micros() as i64,
        "tcpi_rttvar" => info.rttvar.as_micros() as i64,
        "tcpi_min_rtt" => info.min_rtt.as_micros() as i64,
        "tcpi_rto" => info.rto.as_micros() as i64,
        "tcpi_snd_mss" => info.snd_mss.into(),
        "tcpi_rcv_mss" => info.rcv_mss.into(),
        "tcpi_unacked" => info.unacked.into(),
        "tcpi_sacked" => info.sacked.into(),
        "tcpi_lost" => info.lost.into(),
        "tcpi_retrans" => info.retrans.into(),
        "tcpi_backoff" => info.backoff.into(),
        "tcpi_probes" => info.probes.into(),
        "tcpi_snd_wnd" => info.snd_wnd.into(),
        "tcpi_rcv_wnd" => info.rcv_wnd.into(),
        "tcpi_rcv_space" => info.rcv_space as i64,
        "tcpi_retransmits" => info.retransmits.into(),
        "tcpi_total_retrans" => info.total_retrans.into(),
        "tcpi_dsack_dups" => info.dsack_dups.into(),
        "tcpi_snd_cwnd" => segments(info.snd_cwnd),
        "tcpi_snd_ssthresh" => segments(info.snd_ssthresh),
        "tcpi_notsent_bytes" => info.notsent_bytes as i64,
        "tcpi_ca_state" => match info.ca_state {
            Phase::Open => 0,
            Phase::Disorder => 1,
            Phase::Recovery => 3,
            Phase::Loss => 4,
        },
        _ => return None,
    })
}
