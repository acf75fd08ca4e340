//! Reads a list of calls. Scenario files, recipes and replay use it. An error names the line, the word, and what was
//! expected there.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::{CharIndices, FromStr};

use super::{Call, Pace};
use crate::link::{TIME_EXPECTED, digits, parse_size, parse_time};
use crate::socket::{Domain, Errno, Fd, Shutdown, Type};
use crate::time::Instant;

mod open;
mod setting;

use open::Open;
pub(super) use setting::Setting;

/// The backlog of a `listen` that names none.
const BACKLOG: usize = 128;

/// The largest payload of a datagram over IPv4.
pub(super) const DATAGRAM: u64 = 65_507;

const CALLS: &str = "connect, listen, accept, send, recv, sleep, until, shutdown, close, abort, socket, bind, set, use, \
    sendto or recvfrom";
const ADDRESS: &str = "HOST:PORT, for example server:80, 10.0.0.2:80 or [fd00::2]:80";
const LISTEN: &str = "a port, or an address and a port, for example 80, 10.0.0.2:80 or [::]:80";
const ERRNO: &str = "the name of an error, for example ECONNREFUSED";

/// A line that is no call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {}: expected {expected}", .word.as_ref().map_or("the line ends".into(), |w| format!("\"{w}\"")))]
pub struct ParseError {
    /// Which line, from 1; in a list of lines, which entry.
    pub line: usize,
    /// The word that was not expected; `None` if the line ended too early.
    pub word: Option<String>,
    /// What was expected.
    pub expected: String,
}

/// Reads a program from its lines (a text's `lines()`, or a list of strings) with a table of host names. Empty lines
/// and comments are passed over. A call is refused if the socket in hand cannot take it.
pub fn parse<'a>(
    lines: impl IntoIterator<Item = &'a str>,
    hosts: &BTreeMap<String, IpAddr>,
) -> Result<Vec<Call>, ParseError> {
    let mut calls = Vec::new();
    let mut open = Open::default();
    for (index, text) in lines.into_iter().enumerate() {
        let mut line = Line { number: index + 1, words: Words(text.char_indices().peekable(), text), hosts };
        let Some(word) = line.next()? else { continue };
        let call = line.call(&word)?;
        let call = match line.next()? {
            Some(Word::Bare(arrow)) if arrow == "->" => Call::Fails(Box::new(call), line.take(ERRNO, errno)?),
            Some(word) => return Err(line.error(&word, "nothing more on this line")),
            None => call,
        };
        if let Some(word) = line.next()? {
            return Err(line.error(&word, "nothing more on this line"));
        }
        open.follow(&call).map_err(|expected| line.error(&word, expected))?;
        calls.push(call);
    }
    Ok(calls)
}

#[derive(Clone, Debug, PartialEq)]
enum Word {
    Bare(String),
    Text(Vec<u8>, String),
}

impl Word {
    /// As it stands in the line.
    fn source(&self) -> &str {
        match self {
            Self::Bare(word) => word,
            Self::Text(_, source) => source,
        }
    }
}

/// Cuts a line into words and texts in quotes.
#[derive(Clone)]
struct Words<'a>(Peekable<CharIndices<'a>>, &'a str);

impl Words<'_> {
    fn next(&mut self) -> Result<Option<Word>, (String, &'static str)> {
        while self.0.next_if(|(_, c)| c.is_whitespace()).is_some() {}
        match self.0.peek().copied() {
            None | Some((_, '#')) => Ok(None),
            Some((start, '"')) => self.text(start).map(Some),
            Some(_) => {
                let mut word = String::new();
                while let Some((_, c)) = self.0.next_if(|(_, c)| !c.is_whitespace() && *c != '#') {
                    word.push(c);
                }
                Ok(Some(Word::Bare(word)))
            }
        }
    }

    fn text(&mut self, start: usize) -> Result<Word, (String, &'static str)> {
        self.0.next();
        let mut data = Vec::new();
        while let Some((at, c)) = self.0.next() {
            match c {
                '"' => return Ok(Word::Text(data, self.1[start..=at].to_owned())),
                '\\' => {
                    let escape = self.escape();
                    let end = self.0.peek().map_or(self.1.len(), |&(end, _)| end);
                    let expected = "an escape: \\\" \\\\ \\n \\r \\t \\0 or \\xHH";
                    data.push(escape.ok_or_else(|| (self.1[at..end].to_owned(), expected))?);
                }
                _ => data.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        Err((self.1[start..].to_owned(), "a closing quotation mark"))
    }

    fn escape(&mut self) -> Option<u8> {
        match self.0.next()?.1 {
            '0' => Some(0),
            'n' => Some(b'\n'),
            'r' => Some(b'\r'),
            't' => Some(b'\t'),
            '"' => Some(b'"'),
            '\\' => Some(b'\\'),
            'x' => {
                let mut digit = || self.0.next_if(|(_, c)| c.is_ascii_hexdigit()).and_then(|(_, c)| c.to_digit(16));
                Some((digit()? * 16 + digit()?) as u8)
            }
            _ => None,
        }
    }
}

struct Line<'a> {
    number: usize,
    words: Words<'a>,
    hosts: &'a BTreeMap<String, IpAddr>,
}

impl Line<'_> {
    fn next(&mut self) -> Result<Option<Word>, ParseError> {
        let line = self.number;
        self.words.next().map_err(|(word, expected)| ParseError {
            line,
            word: Some(word),
            expected: expected.to_owned(),
        })
    }

    fn word(&mut self, expected: &str) -> Result<Word, ParseError> {
        let missing = ParseError { line: self.number, word: None, expected: expected.to_owned() };
        self.next()?.ok_or(missing)
    }

    fn error(&self, word: &Word, expected: impl Into<String>) -> ParseError {
        ParseError { line: self.number, word: Some(word.source().to_owned()), expected: expected.into() }
    }

    /// The next word, read by `read`.
    fn take<T>(&mut self, expected: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<T, ParseError> {
        let word = self.word(expected)?;
        match &word {
            Word::Bare(bare) => read(bare).ok_or_else(|| self.error(&word, expected)),
            Word::Text(..) => Err(self.error(&word, expected)),
        }
    }

    fn call(&mut self, word: &Word) -> Result<Call, ParseError> {
        let Word::Bare(name) = word else { return Err(self.error(word, CALLS)) };
        Ok(match name.as_str() {
            "connect" => Call::Connect(self.address()?),
            "listen" => self.listen()?,
            "accept" => Call::Accept,
            "send" => self.send()?,
            "recv" => self.recv()?,
            "sleep" => Call::Sleep(self.take(TIME_EXPECTED, parse_time)?),
            "shutdown" => Call::Shutdown(self.take("wr, rd or rdwr", |word| match word {
                "wr" => Some(Shutdown::Write),
                "rd" => Some(Shutdown::Read),
                "rdwr" => Some(Shutdown::Both),
                _ => None,
            })?),
            "close" => Call::Close,
            "abort" => Call::Abort,
            "until" => Call::Until(Instant::EPOCH + self.take(TIME_EXPECTED, parse_time)?),
            "socket" => self.socket(),
            "bind" => Call::Bind(self.local()?),
            "set" => Call::Set(setting::read(self)?),
            "use" => Call::Use(Fd(
                self.take("the number of a descriptor, from 3 up", |word| digits(word).filter(|&fd| fd >= 3))?
            )),
            "sendto" => self.send_to()?,
            "recvfrom" => self.recv_from()?,
            _ => return Err(self.error(word, CALLS)),
        })
    }

    fn send(&mut self) -> Result<Call, ParseError> {
        let expected = "a number of bytes such as 3000 or 64KiB, or a text in quotation marks";
        let word = self.word(expected)?;
        let count = match &word {
            Word::Text(data, _) => return Ok(Call::Send(data.clone())),
            Word::Bare(bare) => parse_size(bare).ok_or_else(|| self.error(&word, expected))?,
        };
        Ok(self.pace()?.map_or(Call::SendPattern(count), |pace| Call::SendPaced(count, pace)))
    }

    fn recv(&mut self) -> Result<Call, ParseError> {
        let read = |word: &str| if word == "eof" { Some(None) } else { parse_size(word).map(Some) };
        let Some(count) = self.take("a number of bytes such as 3000 or 64KiB, or eof", read)? else {
            return Ok(Call::RecvEof);
        };
        Ok(self.pace()?.map_or(Call::Recv(count), |pace| Call::RecvPaced(count, pace)))
    }

    /// `by 10 every 5ms`, or nothing.
    fn pace(&mut self) -> Result<Option<Pace>, ParseError> {
        if !self.next_if("by") {
            return Ok(None);
        }
        let by = self.take("a number of bytes from 1 up, such as 100", |word| parse_size(word).filter(|&by| by > 0))?;
        self.take("every TIME behind it, for example every 5ms", |word| (word == "every").then_some(()))?;
        Ok(Some(Pace { by, every: self.take(TIME_EXPECTED, parse_time)? }))
    }

    fn socket(&mut self) -> Call {
        for (word, domain, kind) in [
            ("tcp", Domain::Inet, Type::Stream),
            ("tcp6", Domain::Inet6, Type::Stream),
            ("udp", Domain::Inet, Type::Datagram),
            ("udp6", Domain::Inet6, Type::Datagram),
        ] {
            if self.next_if(word) {
                return Call::Socket(domain, kind);
            }
        }
        Call::Socket(if self.only_v6() { Domain::Inet6 } else { Domain::Inet }, Type::Stream)
    }

    fn send_to(&mut self) -> Result<Call, ParseError> {
        let to = self.address()?;
        let expected = "a number of bytes up to 65507, or a text in quotation marks as long";
        let word = self.word(expected)?;
        match &word {
            Word::Text(data, _) if data.len() as u64 <= DATAGRAM => Ok(Call::SendTo(to, data.clone())),
            Word::Bare(bare) => parse_size(bare)
                .filter(|&count| count <= DATAGRAM)
                .map(|count| Call::SendToPattern(to, count))
                .ok_or_else(|| self.error(&word, expected)),
            Word::Text(..) => Err(self.error(&word, expected)),
        }
    }

    fn recv_from(&mut self) -> Result<Call, ParseError> {
        if self.next_if("all") {
            return Ok(Call::RecvFromAll(self.take(TIME_EXPECTED, parse_time)?));
        }
        Ok(Call::RecvFrom)
    }

    /// Takes the next word if it is this one.
    fn next_if(&mut self, wanted: &str) -> bool {
        let mut ahead = self.words.clone();
        let is_it = matches!(ahead.next(), Ok(Some(Word::Bare(word))) if word == wanted);
        if is_it {
            self.words = ahead;
        }
        is_it
    }

    fn only_v6(&self) -> bool {
        !self.hosts.is_empty() && self.hosts.values().all(IpAddr::is_ipv6)
    }

    fn address(&mut self) -> Result<SocketAddr, ParseError> {
        let word = self.word(ADDRESS)?;
        let Word::Bare(bare) = &word else { return Err(self.error(&word, ADDRESS)) };
        if let Ok(addr) = bare.parse::<SocketAddr>() {
            return if addr.port() == 0 { Err(self.error(&word, "a port from 1 to 65535")) } else { Ok(addr) };
        }
        let (host, port) = bare.rsplit_once(':').ok_or_else(|| self.error(&word, ADDRESS))?;
        let port = port_number(port).ok_or_else(|| self.error(&word, "a port from 1 to 65535 behind the colon"))?;
        match self.hosts.get(host) {
            Some(&ip) => Ok(SocketAddr::new(ip, port)),
            None if self.hosts.is_empty() => Err(self.error(&word, "an address: no host has a name here")),
            None => {
                let names: Vec<_> = self.hosts.keys().map(String::as_str).collect();
                Err(self.error(&word, format!("an address or one of the hosts {}", names.join(", "))))
            }
        }
    }

    /// A port alone means every address: of IPv6 only where no host of the table has an IPv4 address.
    fn local(&mut self) -> Result<SocketAddr, ParseError> {
        let any = if self.only_v6() { IpAddr::from(Ipv6Addr::UNSPECIFIED) } else { Ipv4Addr::UNSPECIFIED.into() };
        self.take(LISTEN, |word| {
            let addr = SocketAddr::from_str(word).ok().filter(|addr| addr.port() != 0);
            addr.or_else(|| port_number(word).map(|port| SocketAddr::new(any, port)))
        })
    }

    fn listen(&mut self) -> Result<Call, ParseError> {
        let addr = self.local()?;
        let ahead = self.words.clone();
        let Some(word) = self.next()? else { return Ok(Call::Listen(addr, BACKLOG)) };
        if word == Word::Bare("->".to_owned()) {
            self.words = ahead;
            return Ok(Call::Listen(addr, BACKLOG));
        }
        let backlog = if let Word::Bare(bare) = &word { digits(bare) } else { None };
        let backlog = backlog.ok_or_else(|| self.error(&word, "a backlog (a number), or nothing"))?;
        Ok(Call::Listen(addr, backlog))
    }
}

fn errno(name: &str) -> Option<Errno> {
    Errno::ALL.iter().copied().find(|errno| errno.name() == name)
}

fn port_number(word: &str) -> Option<u16> {
    digits(word).filter(|&port| port != 0)
}

#[cfg(test)]
mod tests;
