//! The system calls of a socket of UDP: many datagrams by one call.
//!
//! Sockets are given as descriptors, made and closed by their owner, who outlives whoever uses them here.

use std::io::IoSliceMut;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::RawFd;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, send, sendto};

/// So many datagrams are read at once.
pub const AT_ONCE: usize = 64;

/// Room for what is read at once.
pub struct Room {
    bytes: Vec<u8>,
    longest: usize,
    headers: MultiHeaders<SockaddrStorage>,
    came: Vec<(usize, SocketAddr)>,
}

impl Room {
    /// For datagrams of so many bytes; longer ones are cut off there.
    #[must_use]
    pub fn new(longest: usize) -> Self {
        let headers = MultiHeaders::preallocate(AT_ONCE, None);
        Self { bytes: vec![0; longest * AT_ONCE], longest, headers, came: Vec::with_capacity(AT_ONCE) }
    }

    /// Waits for a datagram, for as long as the socket's `SO_RCVTIMEO` says, and reads it and those behind it.
    ///
    /// Nothing may have come when this returns. Errors are those of recvmmsg(2) but of the wait.
    pub fn receive(&mut self, socket: RawFd) -> Result<(), Errno> {
        self.came.clear();
        let mut slices: Vec<[IoSliceMut<'_>; 1]> =
            self.bytes.chunks_exact_mut(self.longest).map(|chunk| [IoSliceMut::new(chunk)]).collect();
        match recvmmsg(socket, &mut self.headers, slices.iter_mut(), MsgFlags::MSG_WAITFORONE, None) {
            Ok(came) => {
                let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
                self.came.extend(came.map(|one| (one.bytes, one.address.and_then(address).unwrap_or(unknown))));
                Ok(())
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// What has come, and from where.
    pub fn came(&self) -> impl Iterator<Item = (&[u8], SocketAddr)> {
        self.bytes.chunks_exact(self.longest).zip(&self.came).map(|(chunk, (size, from))| (&chunk[..*size], *from))
    }
}

fn address(given: SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = given.as_sockaddr_in() {
        return Some(SocketAddrV4::from(*v4).into());
    }
    given.as_sockaddr_in6().map(|v6| SocketAddrV6::from(*v6).into())
}

/// Sends datagrams, and answers how many the network did not take: a full buffer, or no way there.
///
/// One by one: nix's `sendmmsg` tells how many went only by way of addresses that were never written, and what it saves, an
/// entry into the kernel, is a twentieth of what sending costs.
pub fn send_all<'d>(socket: RawFd, datagrams: impl Iterator<Item = (&'d [u8], SocketAddr)>) -> usize {
    datagrams
        .filter(|(bytes, to)| sendto(socket, bytes, &SockaddrStorage::from(*to), MsgFlags::MSG_DONTWAIT).is_err())
        .count()
}

/// Wakes whoever reads the other end of this socket; one whose buffer is full is awake.
pub fn wake(socket: RawFd) {
    let _full = send(socket, &[0], MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL);
}
