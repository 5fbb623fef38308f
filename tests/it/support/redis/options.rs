//! What a test may choose about a server.

use std::fmt::Write as _;
use std::path::Path;

use crate::support::redis::RedisServer;

/// The user with all rights that the harness logs in as where a test sets up a user of its own.
const ADMIN: &str = "harness";

/// How a server is set up. The default is one without password, TLS or anything on disk.
#[derive(Clone, Default)]
pub struct RedisOptions {
    login: Option<Login>,
    rules: Option<String>,
    tls: bool,
    role: Role,
    settings: Vec<String>,
}

/// What a client shows. Without a user it is the default one's password.
#[derive(Clone)]
pub struct Login {
    pub user: Option<String>,
    pub password: String,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Role {
    #[default]
    Alone,
    ClusterNode,
    Sentinel,
}

impl RedisOptions {
    /// `requirepass`.
    pub fn password(mut self, password: &str) -> Self {
        self.login = Some(Login {
            user: None,
            password: password.to_owned(),
        });
        self
    }

    /// A user with these ACL rules, such as `~tg:* +@all`. Nobody gets in without a name.
    pub fn user(mut self, name: &str, password: &str, rules: &str) -> Self {
        self.login = Some(Login {
            user: Some(name.to_owned()),
            password: password.to_owned(),
        });
        self.rules = Some(rules.to_owned());
        self
    }

    /// TLS only, with a certificate of its own: see [`RedisServer::ca_file`].
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Every write is on disk before it is answered.
    pub fn durable(self) -> Self {
        self.setting("appendonly yes").setting("appendfsync always")
    }

    /// A replica of that server, from the start.
    pub fn replica_of(self, master: &RedisServer) -> Self {
        let options = &master.options;
        let mut replica = self.setting(&format!("replicaof 127.0.0.1 {}", master.port()));
        if let Some(login) = options.admin() {
            let user = login.user.as_deref().unwrap_or("default");
            replica = replica
                .setting(&format!("masteruser {user}"))
                .setting(&format!("masterauth {}", login.password));
        }
        if options.tls {
            let ca_file = master.ca_file();
            replica = replica
                .setting("tls-replication yes")
                .setting(&format!("tls-ca-cert-file \"{}\"", ca_file.display()));
        }
        replica
    }

    /// Any line of `redis.conf`. A later one wins.
    pub fn setting(mut self, line: &str) -> Self {
        self.settings.push(line.to_owned());
        self
    }

    /// Starts the server and waits until it answers.
    pub async fn start(self) -> RedisServer {
        RedisServer::start_with(self).await
    }

    pub(super) fn role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    pub(super) fn is(&self, role: Role) -> bool {
        self.role == role
    }

    pub(super) fn has_tls(&self) -> bool {
        self.tls
    }

    /// What the code under test logs in with.
    pub(super) fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }

    /// What the harness logs in with: a login that may do everything.
    pub(super) fn admin(&self) -> Option<Login> {
        let mut login = self.login.clone()?;
        if self.rules.is_some() {
            login.user = Some(ADMIN.to_owned());
        }
        Some(login)
    }

    /// The text of `redis.conf`.
    pub(super) fn text(&self, folder: &Path, port: u16, bus_port: Option<u16>) -> String {
        let mut text = format!("bind 127.0.0.1\ndir \"{}\"\n", folder.display());
        if self.tls {
            text += &format!("port 0\ntls-port {port}\ntls-auth-clients no\n");
            text += "tls-cert-file server.pem\ntls-key-file server.key\n";
            text += "tls-ca-cert-file ca.pem\n";
        } else {
            text += &format!("port {port}\n");
        }
        if !self.is(Role::Sentinel) {
            // The default makes a replica wait 5 seconds for others that may want the same copy.
            text += "save \"\"\nrepl-diskless-sync-delay 0\n";
        }
        if let Some(bus_port) = bus_port {
            text += &format!("cluster-enabled yes\ncluster-port {bus_port}\n");
        }
        self.write_login(&mut text);
        for line in &self.settings {
            text += line;
            text += "\n";
        }
        text
    }

    fn write_login(&self, text: &mut String) {
        let Some(Login { user, password }) = &self.login else {
            return;
        };
        let (Some(user), Some(rules)) = (user, &self.rules) else {
            writeln!(text, "requirepass {password}\nmasterauth {password}").unwrap();
            return;
        };
        writeln!(text, "user default off").unwrap();
        writeln!(text, "user {ADMIN} on >{password} ~* &* +@all").unwrap();
        writeln!(text, "user {user} on >{password} {rules}").unwrap();
    }
}
