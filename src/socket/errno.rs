//! Error numbers: Linux's names and values (errno(3)), as the calls of this host return them. They are values and not
//! `std::io::Error`, because events and programs show their names.

use core::fmt;
use std::io;

macro_rules! errnos {
    ($($name:ident = $number:literal, $text:literal, $kind:ident;)*) => {
        /// An error number with Linux's name and value.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Errno {
            $(#[doc = $text] $name = $number,)*
        }

        impl Errno {
            /// Every error number that this host uses, in numerical order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name, as in `errno.h`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// The text of strerror(3).
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            const fn kind(self) -> io::ErrorKind {
                match self { $(Self::$name => io::ErrorKind::$kind,)* }
            }
        }
    };
}

errnos! {
    ENOENT = 2, "No such file or directory", NotFound;
    EBADF = 9, "Bad file descriptor", InvalidInput;
    EAGAIN = 11, "Resource temporarily unavailable", WouldBlock;
    EEXIST = 17, "File exists", AlreadyExists;
    EINVAL = 22, "Invalid argument", InvalidInput;
    EMFILE = 24, "Too many open files", Other;
    EPIPE = 32, "Broken pipe", BrokenPipe;
    ENOTSOCK = 88, "Socket operation on non-socket", InvalidInput;
    EDESTADDRREQ = 89, "Destination address required", InvalidInput;
    EMSGSIZE = 90, "Message too long", InvalidInput;
    ENOPROTOOPT = 92, "Protocol not available", InvalidInput;
    EOPNOTSUPP = 95, "Operation not supported", Unsupported;
    EAFNOSUPPORT = 97, "Address family not supported by protocol", InvalidInput;
    EADDRINUSE = 98, "Address already in use", AddrInUse;
    EADDRNOTAVAIL = 99, "Cannot assign requested address", AddrNotAvailable;
    ENETUNREACH = 101, "Network is unreachable", NetworkUnreachable;
    ECONNABORTED = 103, "Software caused connection abort", ConnectionAborted;
    ECONNRESET = 104, "Connection reset by peer", ConnectionReset;
    ENOBUFS = 105, "No buffer space available", OutOfMemory;
    EISCONN = 106, "Transport endpoint is already connected", InvalidInput;
    ENOTCONN = 107, "Transport endpoint is not connected", NotConnected;
    ETIMEDOUT = 110, "Connection timed out", TimedOut;
    ECONNREFUSED = 111, "Connection refused", ConnectionRefused;
    EHOSTUNREACH = 113, "No route to host", HostUnreachable;
    EALREADY = 114, "Operation already in progress", WouldBlock;
    EINPROGRESS = 115, "Operation now in progress", WouldBlock;
}

impl Errno {
    /// Linux's number.
    pub const fn number(self) -> i32 {
        self as i32
    }
}

impl fmt::Display for Errno {
    /// `ECONNREFUSED (Connection refused)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.text())
    }
}

impl std::error::Error for Errno {}

impl From<Errno> for io::Error {
    /// Keeps the errno as the inner error: `err.get_ref()` downcasts to [`Errno`].
    fn from(errno: Errno) -> Self {
        Self::new(errno.kind(), errno)
    }
}

impl From<crate::stack::ConnectionError> for Errno {
    /// The errno of resets, timeouts and ICMP errors, as on Linux (`icmp_err_convert`).
    fn from(error: crate::stack::ConnectionError) -> Self {
        use crate::stack::ConnectionError as E;
        match error {
            E::Refused => Self::ECONNREFUSED,
            E::Reset => Self::ECONNRESET,
            E::ResetAfterFin => Self::EPIPE,
            E::TimedOut => Self::ETIMEDOUT,
            E::HostUnreachable => Self::EHOSTUNREACH,
            E::NetUnreachable => Self::ENETUNREACH,
            E::MessageTooLong => Self::EMSGSIZE,
        }
    }
}

impl From<crate::stack::BindError> for Errno {
    fn from(error: crate::stack::BindError) -> Self {
        match error {
            crate::stack::BindError::InUse => Self::EADDRINUSE,
            crate::stack::BindError::NotAvailable => Self::EADDRNOTAVAIL,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_those_of_linux() {
        assert_eq!(Errno::ECONNREFUSED.number(), 111);
        assert_eq!(Errno::EAGAIN.number(), 11);
        assert_eq!(Errno::EINPROGRESS.to_string(), "EINPROGRESS (Operation now in progress)");
    }

    #[test]
    fn an_errno_survives_the_way_through_io_error() {
        let error = io::Error::from(Errno::EPIPE);
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(error.get_ref().and_then(|inner| inner.downcast_ref()), Some(&Errno::EPIPE));
    }
}
