//! Which server is the master, by the word of most Sentinels.
//!
//! One Sentinel may be cut off together with an old master and still name it. Most of them cannot:
//! they would not have let a replica take over. So a node that hears from fewer than most does not
//! believe what it is told, and does not renew its leases.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use futures_util::future::join_all;
use redis::{RedisResult, cmd};

use crate::store::redis::address::Host;
use crate::store::redis::connection::{Connection, Connector, in_words};

/// The Sentinels of one master.
pub struct Sentinels {
    connector: Connector,
    master: String,
    members: Vec<Member>,
}

struct Member {
    host: Host,
    connection: Mutex<Option<Connection>>,
}

impl Sentinels {
    /// Those at `hosts`, which call the master so.
    pub fn new(connector: Connector, hosts: &[Host], master: &str) -> Self {
        let members = hosts.iter().map(|host| Member {
            host: host.clone(),
            connection: Mutex::new(None),
        });
        Self {
            connector,
            master: master.to_owned(),
            members: members.collect(),
        }
    }

    /// The server that most of them name.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub async fn master(&self) -> Result<Host, String> {
        let asking = self.members.iter().map(|member| self.ask(member));
        let mut votes: HashMap<Host, usize> = HashMap::new();
        let mut problem = None;
        for answer in join_all(asking).await {
            match answer {
                Ok(host) => *votes.entry(host).or_default() += 1,
                Err(error) => problem = Some(error),
            }
        }
        let most = self.members.len() / 2 + 1;
        let (count, master) = (self.members.len(), &self.master);
        match votes.into_iter().find(|(_, votes)| *votes >= most) {
            Some((host, _)) => Ok(host),
            None => {
                let because = problem
                    .map(|problem| format!(" ({problem})"))
                    .unwrap_or_default();
                Err(format!(
                    "fewer than {most} of {count} Sentinels name the same server as the master \
                     `{master}`{because}"
                ))
            }
        }
    }

    async fn ask(&self, member: &Member) -> Result<Host, String> {
        let answer = self.try_ask(member).await;
        if answer.is_err() {
            *member.lock() = None;
        }
        let answer = answer.map_err(|error| format!("{}: {}", member.host, in_words(&error)))?;
        let unknown = || format!("{}: it knows no master `{}`", member.host, self.master);
        let (name, port) = answer.ok_or_else(unknown)?;
        Ok(Host { name, port })
    }

    async fn try_ask(&self, member: &Member) -> RedisResult<Option<(String, u16)>> {
        let known = member.lock().clone();
        let connection = match known {
            Some(connection) => connection,
            None => {
                let connection = self.connector.one(&member.host, 0).await?;
                *member.lock() = Some(connection.clone());
                connection
            }
        };
        let mut command = cmd("SENTINEL");
        command.arg("get-master-addr-by-name").arg(&self.master);
        connection.send(&command).await
    }
}

impl Member {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Connection>> {
        self.connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
