//! The server under test: the product's own assembly with one worker, plus the no-op routes.

use std::fs;
use std::io::{Read as _, stderr};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use actix_web::web::{self, Bytes, ServiceConfig};
use actix_web::{HttpResponse, rt};
use clap::Args;
use serde::{Deserialize, Serialize};
use ticketgate::config::{Config, LogSettings, StoreLocation};
use ticketgate::engine::isolation::Isolation;
use ticketgate::hooks::connection::{BrokerConnection, ForeignNames};
use ticketgate::hooks::dialect::Dialect;
use ticketgate::hooks::rabbitmq;
use ticketgate::http::server::{Stopper, run_event_loop};
use ticketgate::http::{self, routes};
use ticketgate::keyring::{KeyList, Keyring};
use ticketgate::names::organization_id::OrganizationId;
use ticketgate::secret::Secret;
use ticketgate::store::cached;
use ticketgate::wiring;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::logins::{self, Login};
use crate::target::{Broker, HOOK_SECRET};

/// Where the server keeps its store and leaves the bodies for the generator.
#[derive(Args)]
pub struct Arguments {
    folder: PathBuf,
    /// How many logins to mint.
    logins: u32,
}

/// What the driver has to know, one line on standard output.
#[derive(Serialize, Deserialize)]
pub struct Ready {
    /// Where the server listens.
    pub address: SocketAddr,
    /// Where it tells its metrics.
    pub local_socket: PathBuf,
}

/// Serves until standard input ends.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    // The product's own level, so that what is logged below it costs what it costs there.
    let filter = Targets::new()
        .with_default(LevelFilter::INFO)
        .with_target("actix_server", LevelFilter::WARN);
    tracing_subscriber::registry()
        .with(filter)
        .with(fmt::layer().json().with_writer(stderr))
        .init();
    run_event_loop(serve(arguments))
}

/// Where the bodies of a broker's requests are, one a line.
pub fn bodies_file(folder: &Path, broker: Broker) -> PathBuf {
    folder.join(format!("{}.bodies", broker.name()))
}

async fn serve(arguments: &Arguments) -> anyhow::Result<()> {
    let config = prepare(arguments).await?;
    let local_socket = config.local_socket.clone();
    let running = wiring::build_with_routes(config, routes)?;
    let ready = Ready {
        address: running.address(),
        local_socket,
    };
    println!("{}", serde_json::to_string(&ready)?);
    stop_at_end_of_input(running.stopper());
    Ok(running.run().await?)
}

/// Fills a store, which the server then opens as it would any other, with a cold cache.
async fn prepare(arguments: &Arguments) -> anyhow::Result<Config> {
    let folder = arguments.folder.as_path();
    let location = StoreLocation::Embedded(folder.to_owned());
    let lines = [KeyList::fresh_line(), KeyList::fresh_line()];
    wiring::create_store(folder)?;
    let app = wiring::app_on_store(&location, keyring(&lines)?).await?;
    let organization = logins::set_up(&app).await?;
    let logins = logins::mint(&app, &organization, arguments.logins).await?;
    for broker in Broker::ALL {
        fs::write(bodies_file(folder, broker), bodies(broker, &logins))?;
    }
    Ok(Config {
        http: http::Settings {
            bind: SocketAddr::from(([127, 0, 0, 1], 0)),
            workers: 1,
            ..http::Settings::default()
        },
        store: location,
        cache: cached::Settings {
            // Nothing is to be loaded again during the longest run.
            max_age_seconds: 86_400,
            ..cached::Settings::default()
        },
        keys: keyring(&lines)?,
        hashing: 1,
        local_socket: folder.join("local.sock"),
        brokers: vec![
            connection("verne", Dialect::VerneMq, &organization),
            connection("main", rabbitmq_dialect(), &organization),
        ],
        log: LogSettings {
            json: false,
            filter: "info".into(),
        },
    })
}

fn keyring(lines: &[Secret; 2]) -> anyhow::Result<Keyring> {
    let [seal, pepper] = lines;
    Ok(Keyring::new(KeyList::parse(seal)?, KeyList::parse(pepper)?))
}

fn bodies(broker: Broker, logins: &[Login]) -> String {
    let body = |(nth, login)| broker.body(nth, login) + "\n";
    logins.iter().enumerate().map(body).collect()
}

fn rabbitmq_dialect() -> Dialect {
    Dialect::RabbitMq(rabbitmq::Settings::default())
}

fn connection(name: &str, dialect: Dialect, organization: &OrganizationId) -> BrokerConnection {
    BrokerConnection {
        name: name.into(),
        home: dialect.name().home().into(),
        dialect,
        secrets: vec![Secret::new(HOOK_SECRET)],
        isolation: Isolation::Dedicated(organization.clone()),
        foreign_names: ForeignNames::Deny,
    }
}

/// The no-ops come first, where the router finds them at once: the hooks pay for their place.
fn routes(services: &mut ServiceConfig) {
    services
        .route(Broker::Vernemq.noop_path(), web::post().to(noop_vernemq))
        .route(Broker::Rabbitmq.noop_path(), web::post().to(noop_rabbitmq));
    routes::public(services);
}

async fn noop_vernemq(_body: Bytes) -> HttpResponse {
    yes(Broker::Vernemq)
}

async fn noop_rabbitmq(_body: Bytes) -> HttpResponse {
    yes(Broker::Rabbitmq)
}

fn yes(broker: Broker) -> HttpResponse {
    let content_type = HeaderValue::from_static(broker.content_type());
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, content_type))
        .body(broker.yes())
}

/// However the driver ends, its end of the pipe closes.
fn stop_at_end_of_input(stopper: Stopper) {
    rt::spawn(async move {
        let input = rt::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        let _ = input.await;
        stopper.stop().await;
    });
}
