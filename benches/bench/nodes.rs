//! Three nodes on one Redis, each with every credential in its cache. The last one reaches Redis
//! through a proxy where its connections are to be lost.

use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;
use serde_json::json;
use ticketgate::secret::random_bytes;

use crate::generator::Job;
use crate::http::{self, Client};
use crate::place::{Location, Place};
use crate::process::Cores;
use crate::proxy::{Fault, Proxy};
use crate::redis::{self, RedisServer};
use crate::site::Site;
use crate::target::VERNEMQ_HOOK as HOOK;
use crate::watch::{self, Seen};

/// How many.
pub const NODES: usize = 3;
/// The log is read so often, four times in a lease.
const BETWEEN_READS: Duration = Duration::from_millis(250);
/// The longest that an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The nodes, their Redis, and our connections to them.
pub struct Deployment {
    place: Place,
    sites: Vec<Site>,
    clients: Vec<Client<TcpStream>>,
    /// The first credential that is still good.
    next: usize,
    // Last, because the nodes lean on them.
    proxy: Proxy,
    _redis: RedisServer,
}

impl Deployment {
    /// Three nodes, each with every credential in its cache. The last one may reach Redis through
    /// a proxy only.
    pub fn start(folder: &Path, logins: u64, is_last_behind_proxy: bool) -> anyhow::Result<Self> {
        let redis = RedisServer::start(None)?;
        let proxy = Proxy::to(redis.address())?;
        let store = Location::Redis(redis.url());
        let place = Place::with_logins(folder, store, logins, &[HOOK.broker])?;
        let mut sites = Vec::new();
        for nth in 0..NODES {
            let mut setup = place.setup.clone();
            setup.local_socket = folder.join(format!("node-{nth}.sock"));
            if nth == NODES - 1 && is_last_behind_proxy {
                setup.location = Location::Redis(redis::url(proxy.address()));
            }
            let mut site = Site::start(setup, folder, Cores::default())?;
            site.once_each(&Job::once_each(HOOK, 16, logins))?;
            sites.push(site);
        }
        let clients = sites.iter().map(connect);
        Ok(Self {
            clients: clients.collect::<anyhow::Result<_>>()?,
            place,
            sites,
            next: 0,
            proxy,
            _redis: redis,
        })
    }

    /// Revokes the next credential on any node, while all of them are asked about it.
    pub fn revoke_watched(&mut self) -> anyhow::Result<Seen> {
        self.watch(any_of(NODES), || ())
    }

    /// The same, and nobody looks.
    pub fn revoke_idle(&mut self) -> anyhow::Result<Seen> {
        let (mut local, call) = self.call(any_of(NODES))?;
        self.next += 1;
        let called = Instant::now();
        revoke(&mut local, &call)?;
        Ok(Seen {
            returned: called.elapsed(),
            refused: Vec::new(),
        })
    }

    /// Revokes on one of the others while the last node loses something, then makes good for it.
    pub fn revoke_unheard(&mut self, fault: Fault) -> anyhow::Result<Seen> {
        // At any moment between two reads.
        let share = f64::from(random_bytes::<1>()[0]) / 256.0;
        thread::sleep(BETWEEN_READS.mul_f64(share));
        let proxy = self.proxy.clone();
        let seen = self.watch(any_of(NODES - 1), || proxy.lose(fault))?;
        proxy.mend();
        self.sites[NODES - 1].wait_until_ready()?;
        Ok(seen)
    }

    /// How often a node could not decide.
    pub fn unavailable(&self) -> anyhow::Result<u64> {
        let unavailable = |site: &Site| {
            let counts = site.counts()?;
            Ok(counts.answers(HOOK.broker, "unavailable"))
        };
        self.sites.iter().map(unavailable).sum()
    }

    /// Revokes the next credential on a node, while all are asked about it. `before` is done at the
    /// moment of the call.
    fn watch(&mut self, node: usize, before: impl FnOnce()) -> anyhow::Result<Seen> {
        let login = &self.place.logins[self.next];
        let question = HOOK.request(&HOOK.broker.body(self.next, login));
        let (mut local, call) = self.call(node)?;
        self.next += 1;
        watch::during(&mut self.clients, &question, HOOK.broker.yes(), || {
            before();
            revoke(&mut local, &call)
        })
    }

    /// A connection to a node's local socket that has been used, and the call that revokes.
    fn call(&self, node: usize) -> anyhow::Result<(Client<UnixStream>, Vec<u8>)> {
        let mut local = self.sites[node].local()?;
        local.ask(&http::request("GET", "/health/ready", ""))?;
        let target = self.place.logins[self.next].username.to_string();
        let body = json!({ "target": target }).to_string();
        Ok((local, http::request("POST", "/revoke", &body)))
    }
}

fn connect(site: &Site) -> anyhow::Result<Client<TcpStream>> {
    let stream = TcpStream::connect(site.address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(Client::over(stream))
}

fn revoke(local: &mut Client<UnixStream>, call: &[u8]) -> anyhow::Result<()> {
    let reply = local.ask(call)?;
    let is_done = reply.status == 200 && reply.body.contains(r#""revoked":1"#);
    ensure!(is_done, "not revoked: {}", reply.body);
    Ok(())
}

fn any_of(nodes: usize) -> usize {
    usize::from(random_bytes::<1>()[0]) % nodes
}
