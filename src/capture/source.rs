//! Reads as many bytes of a file as a record needs. Memory grows with the bytes that are in the file, not with a length
//! field.

use std::io::{self, ErrorKind, Read};

/// How much is read at once.
const CHUNK: usize = 64 * 1024;

pub(super) struct Source {
    input: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    /// Where the unread bytes begin.
    start: usize,
}

impl Source {
    pub(super) fn new(input: Box<dyn Read + Send>) -> Self {
        Self { input, buffer: Vec::new(), start: 0 }
    }

    /// The bytes that are there and were not taken.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// The next `len` bytes, or as many as there are.
    pub(super) fn peek(&mut self, len: usize) -> io::Result<&[u8]> {
        while self.bytes().len() < len {
            if self.read_more()? == 0 {
                break;
            }
        }
        let there = self.bytes().len().min(len);
        Ok(&self.bytes()[..there])
    }

    /// Reads some more; how many bytes, 0 at the end of the file.
    pub(super) fn read_more(&mut self) -> io::Result<usize> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let old = self.buffer.len();
        self.buffer.resize(old + CHUNK, 0);
        let result = loop {
            match self.input.read(&mut self.buffer[old..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        self.buffer.truncate(old + result.as_ref().map_or(0, |len| *len));
        result
    }

    /// Takes `len` bytes that are there.
    pub(super) fn advance(&mut self, len: usize) {
        self.start += len;
    }

    /// Bytes that were taken last, for as long as nothing more is read: the `len` bytes that begin `back` bytes before
    /// the unread ones.
    pub(super) fn taken(&self, back: usize, len: usize) -> &[u8] {
        &self.buffer[self.start - back..self.start - back + len]
    }
}
