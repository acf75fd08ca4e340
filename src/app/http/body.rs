//! The body of a response: empty, a text, a part of a file, or a part of the pattern. A file is read in chunks, when
//! the connection has room for one. `std::fs` blocks the host while it reads.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::app::bulk;

/// Bytes read from a file at once.
const CHUNK: u64 = 64 * 1024;

/// The body of a response; its length is known from the start.
#[derive(Debug)]
pub(super) enum ResponseBody {
    Text(Bytes),
    File { file: File, left: u64 },
    Pattern(Range<u64>),
}

impl ResponseBody {
    pub(super) const EMPTY: Self = Self::Text(Bytes::new());

    /// The given bytes of a file.
    pub(super) fn of_file(mut file: File, range: Range<u64>) -> io::Result<Self> {
        file.seek(SeekFrom::Start(range.start))?;
        Ok(Self::File { file, left: range.end - range.start })
    }

    fn left(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::File { left, .. } => *left,
            Self::Pattern(range) => range.end - range.start,
        }
    }

    fn next(&mut self) -> io::Result<Bytes> {
        match self {
            Self::Text(text) => Ok(std::mem::take(text)),
            Self::Pattern(range) => {
                let piece = bulk::pattern(range.start, range.end - range.start);
                range.start += piece.len() as u64;
                Ok(Bytes::from_static(piece))
            }
            Self::File { file, left } => {
                let mut chunk = vec![0; (*left).min(CHUNK) as usize];
                let count = file.read(&mut chunk)?;
                if count == 0 {
                    // The length was announced, so only an aborted connection can report the error to the client.
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the file became shorter while it was sent",
                    ));
                }
                chunk.truncate(count);
                *left -= count as u64;
                Ok(chunk.into())
            }
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        Poll::Ready((this.left() > 0).then(|| this.next().map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left())
    }
}

/// What the Range field selects from `len` bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RequestedRange {
    /// All of it: there is no range, or one that this server ignores (RFC 9110, section 14.2 permits it).
    Whole,
    /// These bytes, never empty.
    Range(Range<u64>),
    /// The range cannot be satisfied: 416.
    Unsatisfiable,
}

impl RequestedRange {
    /// Reads a Range field (RFC 9110, section 14.1.2): one range of bytes, `a-b`, `a-` or `-n`.
    pub(super) fn parse(field: &str, len: u64) -> Self {
        let Some((first, last)) = field.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
            return Self::Whole;
        };
        let number = |digits: &str| {
            let all_digits = !digits.is_empty() && digits.bytes().all(|value| value.is_ascii_digit());
            // A number beyond the largest counts as the largest.
            all_digits.then(|| digits.parse().unwrap_or(u64::MAX))
        };
        let range = match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(len),
            (Some(first), None) if last.is_empty() => first..len,
            (None, Some(count)) if first.is_empty() => len.saturating_sub(count)..len,
            _ => return Self::Whole,
        };
        if range.is_empty() { Self::Unsatisfiable } else { Self::Range(range) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        use RequestedRange::{Range, Unsatisfiable, Whole};
        let table = [
            ("bytes=0-0", Range(0..1)),
            ("bytes=10-19", Range(10..20)),
            ("bytes=90-", Range(90..100)),
            ("bytes=90-1000", Range(90..100)),
            ("bytes=90-99999999999999999999999", Range(90..100)),
            ("bytes=-10", Range(90..100)),
            ("bytes=-1000", Range(0..100)),
            ("bytes=-0", Unsatisfiable),
            ("bytes=100-", Unsatisfiable),
            ("bytes=100-200", Unsatisfiable),
            ("bytes=20-10", Whole),
            ("bytes=-", Whole),
            ("bytes=a-b", Whole),
            ("bytes=+1-2", Whole),
            ("bytes=0-1,5-6", Whole),
            ("lines=0-1", Whole),
            ("", Whole),
        ];
        for (field, part) in table {
            assert_eq!(RequestedRange::parse(field, 100), part, "{field}");
        }
        assert_eq!(RequestedRange::parse("bytes=0-", 0), Unsatisfiable);
    }

    fn collect(mut content: ResponseBody) -> Vec<u8> {
        let mut all = Vec::new();
        while content.left() > 0 {
            all.extend_from_slice(&content.next().expect("readable"));
        }
        all
    }

    #[test]
    fn the_pattern_goes_on_where_a_range_begins() {
        let whole = collect(ResponseBody::Pattern(0..200_000));
        assert_eq!(whole.len(), 200_000);
        assert_eq!(collect(ResponseBody::Pattern(100_000..100_010)), &whole[100_000..100_010]);
    }

    #[test]
    fn a_file_comes_in_chunks_and_one_that_shrinks_is_an_error() {
        let path = std::env::temp_dir().join(format!("tcplab-body-{}", std::process::id()));
        let data: Vec<u8> = (0..150_000_u32).map(|at| (at % 253) as u8).collect();
        std::fs::write(&path, &data).unwrap();
        let open = |range| ResponseBody::of_file(File::open(&path).unwrap(), range).unwrap();
        assert_eq!(collect(open(0..150_000)), data);
        assert_eq!(collect(open(70_000..70_001)), &data[70_000..70_001]);

        let mut longer = open(149_999..150_001);
        assert_eq!(longer.next().unwrap().len(), 1);
        assert_eq!(longer.next().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        std::fs::remove_file(&path).unwrap();
    }
}
