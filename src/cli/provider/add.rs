//! `ticketgate provider add`: one command for each product.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};

use crate::cli::local;
use crate::cli::output::Output;
use crate::cli::provider::{body, running_server};
use crate::cli::runtime::block_on;
use crate::cli::setup::{read_secret, read_text, with_app};
use crate::config::fields::load_store;
use crate::config::source::Flags;
use crate::http::wire::{ProviderReply, ProvidersBody, ProvidersReply};
use crate::identity::custom::{self, CustomKey};
use crate::identity::draft::Draft;
use crate::identity::supabase::{self, Signing};
use crate::identity::{auth0, clerk, firebase, oidc, pem};
use crate::keyring::Keyring;
use crate::names::organization_id::OrganizationName;
use crate::org::claim_path::ClaimPath;
use crate::org::https_url::HttpsUrl;
use crate::org::provider::{BadProvider, KeySource, Provider};
use crate::org::public_key::Algorithm;
use crate::secret::Secret;

#[derive(Debug, Subcommand)]
pub enum AddProvider {
    /// A Supabase project
    Supabase(SupabaseArguments),
    /// A Firebase project
    Firebase(FirebaseArguments),
    /// An Auth0 tenant
    Auth0(Auth0Arguments),
    /// A Clerk application
    Clerk(ClerkArguments),
    /// Any OpenID provider (Keycloak, Okta, Entra ID, Cognito, Zitadel, ...)
    Oidc(OidcArguments),
    /// A signer of your own, with a key that you paste
    Custom(CustomArguments),
}

#[derive(Debug, Args)]
pub struct Common {
    /// The organization: org_... or its UUID
    #[arg(long)]
    org: OrganizationName,
    /// What to call the provider
    #[arg(long)]
    name: String,
    /// What the MQTT usernames of its users begin with. Never another's in the organization
    #[arg(long, value_name = "PREFIX", default_value = "user_")]
    username_prefix: String,
    /// Accept tokens without an e-mail address
    #[arg(long)]
    without_email: bool,
    /// A claim for topic rules and where the token has it: role=app_metadata.role,
    /// email=https://app.example/email. sub, email, name, role and session_id are there already
    #[arg(long = "claim", value_name = "NAME=PATH")]
    claims: Vec<String>,
}

const SUPABASE: &str = "\
Examples:
  A project with signing keys, which Supabase publishes:
    ticketgate provider add supabase --org ORG --name demo --project-url https://abc123.supabase.co
  A project with the older JWT secret (Settings > API > JWT Settings):
    ticketgate provider add supabase --org ORG --name demo --project-url https://abc123.supabase.co \\
        --jwt-secret-file secret.txt
  One that goes over from the second to the first: both, with --signing-keys.";

#[derive(Debug, Args)]
#[command(after_help = SUPABASE)]
pub struct SupabaseArguments {
    #[command(flatten)]
    common: Common,
    /// The project, such as https://abc123.supabase.co
    #[arg(long, value_name = "URL")]
    project_url: String,
    /// The file with the project's JWT secret; - for standard input
    #[arg(long, value_name = "FILE")]
    jwt_secret_file: Option<PathBuf>,
    /// Accept the project's signing keys beside the JWT secret
    #[arg(long, requires = "jwt_secret_file")]
    signing_keys: bool,
}

const FIREBASE: &str = "\
Example:
    ticketgate provider add firebase --org ORG --name app --project-id my-app-4711 --without-email

Users send their ID token (`user.getIdToken()`). Those who sign in anonymously or by telephone have
no e-mail address: --without-email lets them in.";

#[derive(Debug, Args)]
#[command(after_help = FIREBASE)]
pub struct FirebaseArguments {
    #[command(flatten)]
    common: Common,
    /// The project id (not the number), from the project's settings
    #[arg(long, value_name = "ID")]
    project_id: String,
    /// Another address of the keys than Google's
    #[arg(long, value_name = "URL")]
    jwks_url: Option<HttpsUrl>,
}

const AUTH0: &str = "\
Example:
    ticketgate provider add auth0 --org ORG --name auth0 --domain your-tenant.eu.auth0.com \\
        --audience https://api.yourapp.com --claim email=https://yourapp.com/email

Users send an access token for that API. Auth0 puts no e-mail address into it: add one with an
Action, `api.accessToken.setCustomClaim('https://yourapp.com/email', event.user.email)`.";

#[derive(Debug, Args)]
#[command(after_help = AUTH0)]
pub struct Auth0Arguments {
    #[command(flatten)]
    common: Common,
    /// The tenant's domain, or your own
    #[arg(long)]
    domain: String,
    /// The API's identifier
    #[arg(long = "audience", value_name = "AUDIENCE", required = true)]
    audiences: Vec<String>,
}

const CLERK: &str = "\
Example:
    ticketgate provider add clerk --org ORG --name clerk --domain clerk.your-domain.com \\
        --dev-domain your-app-12.clerk.accounts.dev

The development instance becomes a provider of its own, <name>-development with the prefix
dev_<prefix>: its users are other people, and you can disable it when you go live. A session token
names the page it is for (azp), which must be among the organization's allowed origins. It has no
e-mail address: add `email` = {{user.primary_email_address}} to the session token's claims.";

#[derive(Debug, Args)]
#[command(after_help = CLERK)]
pub struct ClerkArguments {
    #[command(flatten)]
    common: Common,
    /// The production instance's Frontend API domain
    #[arg(long, required_unless_present = "dev_domain")]
    domain: Option<String>,
    /// The development instance's
    #[arg(long)]
    dev_domain: Option<String>,
    /// The audience that a JWT template gives; session tokens have none
    #[arg(long = "audience", value_name = "AUDIENCE")]
    audiences: Vec<String>,
    /// An accepted azp in place of the organization's allowed origins
    #[arg(long = "authorized-party", value_name = "ORIGIN")]
    authorized_parties: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Conditions {
    /// An accepted audience (aud): for ID tokens the client id, for access tokens the API
    #[arg(long = "audience", value_name = "AUDIENCE", required = true)]
    audiences: Vec<String>,
    /// A claim that every token must have: email_verified=true, groups=staff, or only its path
    #[arg(long = "require-claim", value_name = "PATH[=VALUE]")]
    required: Vec<String>,
    /// An accepted authorized party (azp); with one, a token without azp is refused
    #[arg(long = "authorized-party", value_name = "CLIENT")]
    authorized_parties: Vec<String>,
}

const OIDC: &str = "\
Examples:
    ticketgate provider add oidc --org ORG --name keycloak --issuer https://id.example/realms/main \\
        --audience my-app --claim role=realm_access.role --require-claim email_verified=true
    ticketgate provider add oidc --org ORG --name other --issuer https://id.example \\
        --jwks-url https://id.example/keys.json --audience my-app --algorithm ES256

Without --jwks-url the keys are found through the issuer's /.well-known/openid-configuration. The
issuer is compared byte by byte: a final slash counts.";

#[derive(Debug, Args)]
#[command(after_help = OIDC)]
pub struct OidcArguments {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    conditions: Conditions,
    /// The exact issuer (iss)
    #[arg(long, value_name = "URL")]
    issuer: String,
    /// Where the keys are, if not where the discovery document says
    #[arg(long, value_name = "URL")]
    jwks_url: Option<HttpsUrl>,
    /// An algorithm that its tokens may have: RS256, PS256, ES256, ES384, EdDSA. Default: all but
    /// PS256
    #[arg(long = "algorithm", value_name = "ALG")]
    algorithms: Vec<Algorithm>,
}

const CUSTOM: &str = "\
Examples:
    ticketgate provider add custom --org ORG --name mine --issuer my-backend --audience mqtt \\
        --algorithm EdDSA --key-file public.pem
    ticketgate provider add custom --org ORG --name mine --issuer my-backend --audience mqtt \\
        --algorithm HS256 --secret-file secret.txt

The key is a public one, as PEM (-----BEGIN PUBLIC KEY-----) or JWK; the secret has at least 32
bytes.";

#[derive(Debug, Args)]
#[command(after_help = CUSTOM)]
pub struct CustomArguments {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    conditions: Conditions,
    /// The exact issuer (iss)
    #[arg(long, value_name = "TEXT")]
    issuer: String,
    /// HS256 (with --secret-file), RS256, PS256, ES256, ES384 or EdDSA (with --key-file)
    #[arg(long, value_name = "ALG")]
    algorithm: String,
    /// The file with the public key, PEM or JWK; - for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "secret_file")]
    key_file: Option<PathBuf>,
    /// The file with the shared secret; - for standard input
    #[arg(long, value_name = "FILE", required_unless_present = "key_file")]
    secret_file: Option<PathBuf>,
}

/// `ticketgate provider add`
pub fn run(flags: &Flags, add: AddProvider, output: Output) -> anyhow::Result<()> {
    match add {
        AddProvider::Supabase(arguments) => {
            let secret = arguments.jwt_secret_file.as_deref().map(read_secret);
            let secret = secret.transpose()?;
            let signing = match &secret {
                None => Signing::KeyPair,
                Some(secret) if arguments.signing_keys => Signing::Both(secret),
                Some(secret) => Signing::Secret(secret),
            };
            let url = arguments.project_url;
            store(flags, &arguments.common, output, |draft, keys| {
                Ok(vec![supabase::provider(draft, &url, &signing, keys)?])
            })
        }
        AddProvider::Firebase(arguments) => {
            let (project, url) = (arguments.project_id, arguments.jwks_url);
            store(flags, &arguments.common, output, |draft, _| {
                Ok(vec![firebase::provider(draft, &project, url)?])
            })
        }
        AddProvider::Auth0(arguments) => {
            let (domain, audiences) = (arguments.domain, arguments.audiences);
            store(flags, &arguments.common, output, |draft, _| {
                Ok(vec![auth0::provider(draft, &domain, audiences)?])
            })
        }
        AddProvider::Clerk(arguments) => {
            let ClerkArguments {
                common,
                domain,
                dev_domain,
                audiences,
                authorized_parties,
            } = arguments;
            store(flags, &common, output, |mut draft, _| {
                draft.authorized_parties = authorized_parties;
                let domains = (domain.as_deref(), dev_domain.as_deref());
                clerk_instances(draft, domains, &audiences)
            })
        }
        AddProvider::Oidc(arguments) => {
            let required = required_claims(&arguments.conditions.required)?;
            let OidcArguments {
                common,
                conditions,
                issuer,
                jwks_url,
                algorithms,
            } = arguments;
            store(flags, &common, output, |mut draft, _| {
                draft.required_claims = required.into_iter().collect();
                draft.authorized_parties = conditions.authorized_parties;
                let algorithms = algorithms.into_iter().collect();
                let audiences = conditions.audiences;
                let provider = oidc::provider(draft, &issuer, jwks_url, audiences, algorithms);
                Ok(vec![provider?])
            })
        }
        AddProvider::Custom(arguments) => {
            let required = required_claims(&arguments.conditions.required)?;
            let key = custom_key(&arguments)?;
            let CustomArguments {
                common,
                conditions,
                issuer,
                ..
            } = arguments;
            store(flags, &common, output, |mut draft, keys| {
                draft.required_claims = required.into_iter().collect();
                draft.authorized_parties = conditions.authorized_parties;
                let provider = custom::provider(draft, &issuer, conditions.audiences, key, keys);
                Ok(vec![provider?])
            })
        }
    }
}

fn clerk_instances(
    draft: Draft,
    (domain, dev_domain): (Option<&str>, Option<&str>),
    audiences: &[String],
) -> Result<Vec<Provider>, BadProvider> {
    let mut made = Vec::new();
    if let Some(domain) = domain {
        made.push(clerk::provider(draft.clone(), domain, audiences.to_vec())?);
    }
    if let Some(domain) = dev_domain {
        let draft = Draft {
            name: format!("{}-development", draft.name),
            username_prefix: format!("dev_{}", draft.username_prefix),
            ..draft
        };
        made.push(clerk::provider(draft, domain, audiences.to_vec())?);
    }
    Ok(made)
}

fn custom_key(arguments: &CustomArguments) -> anyhow::Result<CustomKey> {
    let shared = arguments.algorithm == "HS256";
    match (&arguments.key_file, &arguments.secret_file) {
        (Some(file), _) if !shared => {
            let algorithm: Algorithm = arguments.algorithm.parse()?;
            let text = Secret::new(read_text(file)?);
            let key = pem::public_key(text.expose());
            let key = key.with_context(|| file.display().to_string())?;
            Ok(CustomKey::Public(algorithm, key))
        }
        (None, Some(file)) if shared => Ok(CustomKey::SharedSecret(read_secret(file)?)),
        _ => bail!("--secret-file goes with --algorithm HS256, --key-file with all others"),
    }
}

fn required_claims(texts: &[String]) -> anyhow::Result<Vec<(ClaimPath, Option<String>)>> {
    let parse = |text: &String| {
        let (path, value) = match text.split_once('=') {
            Some((path, value)) => (path, Some(value.to_owned())),
            None => (text.as_str(), None),
        };
        let path = path.parse();
        Ok((
            path.with_context(|| format!("--require-claim {text}"))?,
            value,
        ))
    };
    texts.iter().map(parse).collect()
}

fn draft(common: &Common) -> anyhow::Result<Draft> {
    let mut draft = Draft::new(&common.name, &common.username_prefix);
    draft.require_email = !common.without_email;
    for text in &common.claims {
        let context = || format!("--claim {text}");
        let (name, path) = text.split_once('=').with_context(context)?;
        let path = path.parse().with_context(context)?;
        draft.claim_map.insert(name.to_owned(), path);
    }
    Ok(draft)
}

/// Makes the providers and stores them.
fn store(
    flags: &Flags,
    common: &Common,
    output: Output,
    make: impl FnOnce(Draft, &Keyring) -> Result<Vec<Provider>, BadProvider>,
) -> anyhow::Result<()> {
    let draft = draft(common)?;
    let organization = common.org.clone();
    let made = match running_server(flags)? {
        Some(socket) => {
            let (_, keys) = load_store(flags)?;
            let made = make(draft, &keys)?;
            let body = ProvidersBody {
                add: made.clone(),
                ..body(&organization, None, None)
            };
            block_on(local::ask::<ProvidersReply>(&socket, "/providers", &body))?;
            made
        }
        None => with_app(flags, async |app| {
            let make = |keys: &Keyring| make(draft, keys);
            Ok(app.add_made_providers(organization, make).await?)
        })?,
    };
    let mut lines = Vec::new();
    for provider in &made {
        let (name, issuer) = (&provider.name, &provider.issuer);
        lines.push(format!("added provider {name} for tokens of {issuer}"));
        warn_of_plain_http(provider);
    }
    let replies = made
        .into_iter()
        .map(|provider| ProviderReply::new(provider.into()));
    let mut replies: Vec<ProviderReply> = replies.collect();
    let value = match replies.len() {
        1 => serde_json::to_value(replies.remove(0))?,
        _ => serde_json::to_value(ProvidersReply { providers: replies })?,
    };
    output.print(&value, &lines.join("\n"));
    Ok(())
}

fn warn_of_plain_http(provider: &Provider) {
    if let Some((KeySource::Url(url) | KeySource::Discovery(url), _)) = provider.key_set()
        && url.is_plain_http()
    {
        eprintln!(
            "ticketgate: warning: {url} is not encrypted; for development only, and the server \
             asks it only with identity.allow_private_addresses = true"
        );
    }
}
