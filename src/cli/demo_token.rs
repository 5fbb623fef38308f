//! `ticketgate demo-token`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::cli::setup::read_secret;
use crate::clock::{Clock as _, SystemClock};
use crate::identity::{jwt, supabase};

#[derive(Debug, Args)]
pub struct Arguments {
    /// The project that signs, such as https://abc123.supabase.co
    #[arg(long, value_name = "URL")]
    project_url: String,
    /// The file with the project's JWT secret; - for standard input
    #[arg(long, value_name = "FILE")]
    jwt_secret_file: PathBuf,
    /// Whom the token is about (sub)
    #[arg(long, value_name = "ID")]
    subject: String,
    /// The subject's e-mail address
    #[arg(long, value_name = "ADDRESS")]
    email: String,
    /// How long the token lives
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    expires_in: i64,
}

/// Prints the token.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let now = SystemClock.now().as_second();
    let claims = json!({
        "iss": supabase::issuer(&arguments.project_url)?,
        "aud": "authenticated",
        "sub": arguments.subject,
        "email": arguments.email,
        "role": "authenticated",
        "iat": now,
        "exp": now + arguments.expires_in,
    });
    let token = jwt::sign_hs256(&claims, &read_secret(&arguments.jwt_secret_file)?);
    println!("{}", token.expose());
    Ok(())
}
