//! A place to serve from: a store with credentials in it, the keys that they were made with, and
//! the requests that show them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use ticketgate::app::App;
use ticketgate::clock::SystemClock;
use ticketgate::config::StoreLocation;
use ticketgate::keyring::{KeyList, Keyring};
use ticketgate::metrics::Metrics;
use ticketgate::names::organization_id::{OrganizationId, OrganizationName};
use ticketgate::secret::Secret;
use ticketgate::store::cached;
use ticketgate::store::embedded::Embedded;
use ticketgate::store::port::Store;
use ticketgate::store::redis::{self, Redis};
use tokio::runtime::{self, Runtime};

use crate::logins::{self, Login, Pattern};
use crate::signers::Signers;
use crate::target::Broker;

/// The product's own default.
pub const LEASE: Duration = Duration::from_secs(1);
/// The same for how long Redis may take.
pub const TIMEOUT: Duration = Duration::from_millis(250);
/// How long Redis may take while the store is being filled, which nobody measures.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a server has to know, a line on its standard input.
#[derive(Clone, Serialize, Deserialize)]
pub struct Setup {
    /// Where records live.
    pub location: Location,
    /// Where it opens its local socket.
    pub local_socket: PathBuf,
    /// The most records in its cache.
    pub cache_capacity: usize,
    /// The organization that its brokers are dedicated to.
    pub organization: OrganizationId,
    /// The lists of seal keys and of peppers.
    pub keys: [String; 2],
}

/// Where records live.
#[derive(Clone, Serialize, Deserialize)]
pub enum Location {
    /// In a file of this folder.
    Embedded(PathBuf),
    /// In Redis at this URL.
    Redis(String),
}

/// A store that is being filled.
pub struct Stock {
    /// What is in it.
    pub logins: Vec<Login>,
    folder: PathBuf,
    runtime: Runtime,
    store: Arc<dyn Store>,
    pattern: Pattern,
    setup: Setup,
}

/// A store that is full.
pub struct Place {
    /// For the servers.
    pub setup: Setup,
    /// What is in it.
    pub logins: Vec<Login>,
    /// With the bodies for the generator.
    pub folder: PathBuf,
}

/// Where the bodies of a broker's requests are, one a line.
pub fn bodies_file(folder: &Path, broker: Broker) -> PathBuf {
    folder.join(format!("{}.bodies", broker.name()))
}

impl Location {
    /// As the product's settings say it.
    pub fn settings(&self) -> anyhow::Result<StoreLocation> {
        Ok(match self {
            Location::Embedded(folder) => StoreLocation::Embedded(folder.clone()),
            Location::Redis(url) => StoreLocation::Redis(Box::new(redis_at(url)?)),
        })
    }
}

/// The product's defaults for a single server.
fn redis_at(url: &str) -> anyhow::Result<redis::Settings> {
    Ok(redis::Settings {
        address: url.parse()?,
        authorities: None,
        sentinel_login: (None, None),
        prefix: "tg".into(),
        lease: LEASE,
        timeout: TIMEOUT,
        min_replicas: 0,
    })
}

async fn open(location: &Location) -> anyhow::Result<Arc<dyn Store>> {
    let (clock, metrics) = (Arc::new(SystemClock), Arc::new(Metrics::new()));
    Ok(match location {
        Location::Embedded(folder) => Arc::new(Embedded::create(folder, clock, metrics)?),
        Location::Redis(url) => {
            let settings = redis::Settings {
                timeout: PATIENCE,
                ..redis_at(url)?
            };
            let store = Redis::visit(settings, metrics).await;
            Arc::new(store.with_context(|| format!("Redis at {url}"))?)
        }
    })
}

impl Setup {
    /// The keys.
    pub fn keyring(&self) -> anyhow::Result<Keyring> {
        let [seals, peppers] = self.keys.clone().map(Secret::new);
        Ok(Keyring::new(
            KeyList::parse(&seals)?,
            KeyList::parse(&peppers)?,
        ))
    }

    fn app(&self, store: Arc<dyn Store>) -> anyhow::Result<App> {
        let keys = Arc::new(self.keyring()?);
        let metrics = Arc::new(Metrics::new());
        Ok(App::new(store, keys, Arc::new(SystemClock), metrics, 1))
    }
}

impl Stock {
    /// Opens an empty store and sets up an organization in it.
    pub fn open(folder: &Path, location: Location) -> anyhow::Result<Self> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let store = runtime.block_on(open(&location))?;
        let mut setup = Setup {
            location,
            local_socket: folder.join("local.sock"),
            cache_capacity: cached::Settings::default().capacity,
            organization: OrganizationId::random(),
            keys: [(); 2].map(|()| KeyList::fresh_line().expose().to_owned()),
        };
        let app = setup.app(Arc::clone(&store))?;
        setup.organization = runtime.block_on(logins::set_up(&app))?;
        let pattern = Pattern::made_by(&app, &*store, &setup);
        Ok(Self {
            pattern: runtime.block_on(pattern)?,
            logins: Vec::new(),
            folder: folder.to_owned(),
            runtime,
            store,
            setup,
        })
    }

    /// Makes the organization trust the signers as its identity providers.
    pub fn trust(&self, signers: &Signers) -> anyhow::Result<()> {
        let app = self.setup.app(Arc::clone(&self.store))?;
        let organization = OrganizationName::Id(self.setup.organization.clone());
        let made = app.add_made_providers(organization, |keys| signers.providers(keys));
        self.runtime.block_on(made)?;
        Ok(())
    }

    /// Adds the holders of so many credentials.
    pub fn add_holders(&mut self, count: u64) -> anyhow::Result<()> {
        let (pattern, logins) = (&self.pattern, &mut self.logins);
        let writes = (0..count).map(|_| {
            let (login, write) = pattern.another();
            logins.push(login);
            write
        });
        let all = logins::put_all(&*self.store, "Storing credentials", writes, count);
        self.runtime.block_on(all)
    }

    /// Adds the index from the token's id of every holder.
    pub fn add_indexes(&self) -> anyhow::Result<()> {
        let writes = self.logins.iter().map(|login| self.pattern.index(login));
        let count = self.logins.len() as u64;
        let all = logins::put_all(&*self.store, "Storing their indexes", writes, count);
        self.runtime.block_on(all)
    }

    /// Closes it and writes the requests down.
    pub fn close(self, brokers: &[Broker]) -> anyhow::Result<Place> {
        for broker in brokers {
            let body = |(nth, login)| broker.body(nth, login) + "\n";
            let bodies: String = self.logins.iter().enumerate().map(body).collect();
            fs::write(bodies_file(&self.folder, *broker), bodies)?;
        }
        Ok(Place {
            setup: self.setup,
            logins: self.logins,
            folder: self.folder,
        })
    }
}

impl Place {
    /// A store with so many credentials.
    pub fn with_logins(
        folder: &Path,
        location: Location,
        count: u64,
        brokers: &[Broker],
    ) -> anyhow::Result<Self> {
        let mut stock = Stock::open(folder, location)?;
        stock.add_holders(count)?;
        stock.add_indexes()?;
        stock.close(brokers)
    }
}
