//! Set-up without a running server: these commands open the store themselves.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use crate::app::App;
use crate::app::audit::caller::{Caller, on_behalf};
use crate::app::organizations::{NewOrganization, OrganizationChange};
use crate::cli::output::Output;
use crate::cli::runtime::block_on;
use crate::config::fields::{load_audit, load_store};
use crate::config::source::Flags;
use crate::credential::api_key::ApiKeyKind;
use crate::credential::human_password::MAX_LENGTH;
use crate::credential::scope::Scope;
use crate::limits::counts::{CountLimits, LimitsChange};
use crate::limits::rate::{NotARate, Rate};
use crate::names::base62;
use crate::names::organization_id::OrganizationName;
use crate::names::origin::Origin;
use crate::names::username::LocalName;
use crate::org::organization::RefreshMode;
use crate::secret::Secret;
use crate::wiring;

/// The shortest password that somebody may choose for a user, in characters.
const MIN_PASSWORD_LENGTH: usize = 8;

#[derive(Debug, Subcommand)]
pub enum OrgCommand {
    /// Make an organization
    Create {
        /// What to call it
        #[arg(long)]
        name: String,
        /// The topic rules to begin with: blank (nobody may do anything), own-namespace
        /// (everybody may use users/<username>/#) or permit-all
        #[arg(long, default_value = "own-namespace")]
        preset: String,
        /// A web origin whose pages may exchange tokens, such as https://app.example.com
        #[arg(long = "allow-origin", value_name = "ORIGIN")]
        allow_origins: Vec<Origin>,
    },
    /// Change how an organization's tokens are refreshed, how many there may be, whose pages may ask
    /// for them, and its limits; what is not named stays
    Set {
        /// The organization: org_... or its UUID
        #[arg(long)]
        org: OrganizationName,
        /// extend: a refreshed token keeps its password; rotate: it gets a new one, and the old one
        /// dies after 30 seconds
        #[arg(long)]
        refresh: Option<RefreshArgument>,
        /// For how long a token may be refreshed, from when it was minted, in seconds
        #[arg(long, value_name = "SECONDS")]
        refreshable: Option<u32>,
        /// The most live tokens of one user (there is room for 64)
        #[arg(long, value_name = "NUMBER")]
        max_per_user: Option<u32>,
        /// The most tokens that have not expired; each node counts what others mint with a delay of
        /// up to 5 seconds
        #[arg(long, value_name = "NUMBER")]
        max_tokens: Option<u64>,
        /// One more web origin whose pages may ask for tokens
        #[arg(long = "allow-origin", value_name = "ORIGIN")]
        allow_origins: Vec<Origin>,
        #[command(flatten)]
        limits: LimitArguments,
    },
}

/// How much an organization may have, and how often it may ask
#[derive(Debug, Args)]
pub struct LimitArguments {
    /// The most users with a password of their own
    #[arg(long, value_name = "NUMBER")]
    max_users: Option<u32>,
    /// The most API keys
    #[arg(long, value_name = "NUMBER")]
    max_keys: Option<u32>,
    /// The most identity providers (there is room for 32)
    #[arg(long, value_name = "NUMBER")]
    max_providers: Option<u32>,
    /// The most topic rules (there is room for 10000)
    #[arg(long, value_name = "NUMBER")]
    max_rules: Option<u32>,
    /// The most web origins (there is room for 64)
    #[arg(long, value_name = "NUMBER")]
    max_origins: Option<u32>,
    /// How often it may be called by all its keys together, such as "200/s burst 400"; usual: as the
    /// settings have it
    #[arg(long, value_name = "RATE", value_parser = rate)]
    call_rate: Option<RateArgument>,
    /// How often a token may be minted for it; usual: as the settings have it
    #[arg(long, value_name = "RATE", value_parser = rate)]
    mint_rate: Option<RateArgument>,
}

/// A rate, or what the settings have.
#[derive(Debug, Clone, Copy)]
struct RateArgument(Option<Rate>);

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum RefreshArgument {
    Extend,
    Rotate,
}

#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make an API key; it is shown this once
    Create {
        /// The organization: org_... or its UUID
        #[arg(long)]
        org: OrganizationName,
        /// Who will use it
        #[arg(long)]
        kind: KindArgument,
        /// What to call it
        #[arg(long)]
        name: String,
        /// What it may do; without any, what its kind usually may
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<Scope>,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum KindArgument {
    /// sk_: your own servers; every scope
    Secret,
    /// pk_: browsers; tokens:exchange only
    Publishable,
    /// rk_: one job; the scopes you name
    Restricted,
}

#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Replace an organization's topic rules
    Set {
        /// The organization: org_... or its UUID
        #[arg(long)]
        org: OrganizationName,
        /// The document, such as {"rules":[{"user":"*","topic":"users/{username}/#","permission":"both"}]};
        /// - for standard input
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Make a user; without a password file the password is generated and shown this once
    Create {
        /// The organization: org_... or its UUID
        #[arg(long)]
        org: OrganizationName,
        /// The file with the password; - for standard input
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// The part of the username before the @
        name: LocalName,
    },
}

/// `ticketgate org`
pub fn org(flags: &Flags, command: OrgCommand, output: Output) -> anyhow::Result<()> {
    let (name, preset, allow_origins) = match command {
        OrgCommand::Create {
            name,
            preset,
            allow_origins,
        } => (name, preset, allow_origins),
        OrgCommand::Set {
            org,
            refresh,
            refreshable,
            max_per_user,
            max_tokens,
            allow_origins,
            limits,
        } => {
            let change = OrganizationChange {
                refresh: refresh.map(RefreshMode::from),
                refreshable_seconds: refreshable,
                max_per_user,
                max_tokens,
                allow_origins,
                limits: limits.into(),
            };
            return set_org(flags, org, change, output);
        }
    };
    let new = NewOrganization {
        name: &name,
        preset: &preset,
        allowed_origins: allow_origins,
    };
    let organization = with_app(flags, async |app| Ok(app.create_organization(new).await?))?;
    let (id, alias) = (&organization.id, organization.alias);
    let text = format!("made organization {id} (also {alias})");
    output.print(
        &json!({ "id": id, "alias": alias, "name": name, "preset": preset }),
        &text,
    );
    Ok(())
}

/// `ticketgate org set`
fn set_org(
    flags: &Flags,
    org: OrganizationName,
    change: OrganizationChange,
    output: Output,
) -> anyhow::Result<()> {
    let changed = with_app(flags, async |app| {
        Ok(app.change_organization(org, change).await?)
    })?;
    let value = json!({
        "id": changed.id,
        "token_rules": changed.token_rules,
        "limits": changed.limits,
        "allowed_origins": changed.allowed_origins,
    });
    output.print(&value, &format!("changed organization {}", changed.id));
    Ok(())
}

/// `ticketgate key`
pub fn key(flags: &Flags, command: KeyCommand, output: Output) -> anyhow::Result<()> {
    let KeyCommand::Create {
        org,
        kind,
        name,
        scopes,
    } = command;
    let kind = ApiKeyKind::from(kind);
    let (key, text) = with_app(flags, async |app| {
        Ok(app.create_key(org, kind, &name, scopes).await?)
    })?;
    let shown = format!(
        "{}\nIt is shown this once; keep it in a safe place.",
        text.expose()
    );
    let value = json!({
        "id": key.id,
        "key": text.expose(),
        "kind": key.kind,
        "name": key.name,
        "scopes": key.scopes,
    });
    output.print(&value, &shown);
    Ok(())
}

/// `ticketgate policy`
pub fn policy(flags: &Flags, command: PolicyCommand, output: Output) -> anyhow::Result<()> {
    let PolicyCommand::Set { org, file } = command;
    let document = read_text(&file)?;
    let rules = with_app(flags, async |app| Ok(app.set_policy(org, document).await?))?;
    output.print(
        &json!({ "rules": rules }),
        &format!("set a policy of {rules} rules"),
    );
    Ok(())
}

/// `ticketgate user`
pub fn user(flags: &Flags, command: UserCommand, output: Output) -> anyhow::Result<()> {
    let UserCommand::Create {
        org,
        name,
        password_file,
    } = command;
    let (password, generated) = match &password_file {
        Some(path) => (read_secret(path)?, false),
        None => (Secret::new(base62::random(24)), true),
    };
    let length = password.expose().len();
    if !(MIN_PASSWORD_LENGTH..=MAX_LENGTH).contains(&length) {
        bail!("a password has {MIN_PASSWORD_LENGTH} to {MAX_LENGTH} bytes, not {length}");
    }
    let username = with_app(flags, async |app| {
        Ok(app.create_user(org, name, &password).await?)
    })?;
    let username = username.to_string();
    let shown = if generated {
        password.expose()
    } else {
        "as in the file"
    };
    let text = format!("made user {username}, password {shown}");
    let password = generated.then_some(password.expose());
    output.print(
        &json!({ "username": username, "password": password }),
        &text,
    );
    Ok(())
}

/// A secret from a file or standard input, without the line end.
pub fn read_secret(path: &Path) -> anyhow::Result<Secret> {
    let text = Secret::new(read_text(path)?);
    Ok(Secret::new(text.expose().trim_end_matches(['\r', '\n'])))
}

/// A text from a file or standard input.
pub fn read_text(path: &Path) -> anyhow::Result<String> {
    let context = || format!("cannot read {}", path.display());
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .with_context(context)?;
        return Ok(text);
    }
    std::fs::read_to_string(path).with_context(context)
}

/// Opens the store for one command.
pub fn with_app<T>(
    flags: &Flags,
    work: impl AsyncFnOnce(&App) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let (store, keys) = load_store(flags)?;
    let audit = load_audit(flags)?;
    block_on(async {
        let app = wiring::app_on_store(&store, keys).await?;
        let app = app.with_audit(audit);
        on_behalf(Caller::operator("command line"), work(&app)).await
    })
}

fn rate(text: &str) -> Result<RateArgument, NotARate> {
    match text {
        "usual" => Ok(RateArgument(None)),
        text => Ok(RateArgument(Some(text.parse()?))),
    }
}

impl From<LimitArguments> for LimitsChange {
    fn from(arguments: LimitArguments) -> Self {
        Self {
            counts: CountLimits {
                users: arguments.max_users,
                keys: arguments.max_keys,
                providers: arguments.max_providers,
                rules: arguments.max_rules,
                origins: arguments.max_origins,
            },
            calls: arguments.call_rate.map(|RateArgument(rate)| rate),
            mints: arguments.mint_rate.map(|RateArgument(rate)| rate),
        }
    }
}

impl From<RefreshArgument> for RefreshMode {
    fn from(argument: RefreshArgument) -> Self {
        match argument {
            RefreshArgument::Extend => RefreshMode::Extend,
            RefreshArgument::Rotate => RefreshMode::Rotate,
        }
    }
}

impl From<KindArgument> for ApiKeyKind {
    fn from(kind: KindArgument) -> Self {
        match kind {
            KindArgument::Secret => ApiKeyKind::Secret,
            KindArgument::Publishable => ApiKeyKind::Publishable,
            KindArgument::Restricted => ApiKeyKind::Restricted,
        }
    }
}
