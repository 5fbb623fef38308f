//! A port that stays ours.

use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};

/// A loopback port, reserved until this is dropped.
///
/// A socket stays bound to it without listening. The system then hands the port to nobody who asks
/// for any port, and a server that asks for this very one still gets it, because both set
/// SO_REUSEADDR. So a server that was killed finds its port free when it comes back.
pub struct Port {
    number: u16,
    _reservation: Socket,
}

impl Port {
    /// Reserves one that nobody uses.
    pub fn reserve() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        socket.bind(&any.into()).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        Self {
            number: address.port(),
            _reservation: socket,
        }
    }

    /// Its number.
    pub fn number(&self) -> u16 {
        self.number
    }
}
