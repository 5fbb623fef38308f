use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

use rumqttc::{ConnectReturnCode, ConnectionError, Event, EventLoop, Packet};
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout_at};

const SHORTEST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The identity token will not do: sign in again.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct LoginRefused(String);

/// An event loop that connects with fresh logins. Poll this in place of rumqttc's.
pub struct TicketgateEvents<F> {
    events: EventLoop,
    ticketgate: String,
    organization: String,
    identity_token: F,
    http: reqwest::Client,
    has_login: bool,
    renew_at: Instant,
    wait: Duration,
}

#[derive(Deserialize)]
struct Login {
    mqtt_username: String,
    mqtt_password: String,
    expires_in: f64,
}

impl<F, T> TicketgateEvents<F>
where
    F: FnMut() -> T,
    T: Future<Output = String>,
{
    /// `identity_token` gets the user's current token from the identity provider. Give the event
    /// loop options with `set_clean_session(false)`.
    pub fn new(events: EventLoop, ticketgate: &str, organization: &str, identity_token: F) -> Self {
        Self {
            events,
            ticketgate: ticketgate.to_owned(),
            organization: organization.to_owned(),
            identity_token,
            http: reqwest::Client::new(),
            has_login: false,
            renew_at: Instant::now(),
            wait: SHORTEST_WAIT,
        }
    }

    /// The next event. Lost connections are opened again meanwhile.
    pub async fn poll(&mut self) -> Result<Event, LoginRefused> {
        loop {
            if !self.has_login || Instant::now() >= self.renew_at {
                match self.use_fresh_login().await {
                    Ok(()) => {}
                    Err(None) if self.has_login => {
                        // An open connection is good for some time yet.
                        self.renew_at = Instant::now() + Duration::from_secs(5);
                    }
                    Err(None) => {
                        self.wait_longer().await;
                        continue;
                    }
                    Err(Some(refused)) => return Err(refused),
                }
            }
            let Ok(polled) = timeout_at(self.renew_at, self.events.poll()).await else {
                continue;
            };
            match polled {
                Ok(event) => {
                    if matches!(event, Event::Incoming(Packet::ConnAck(_))) {
                        self.wait = SHORTEST_WAIT;
                    }
                    return Ok(event);
                }
                Err(error) => {
                    use ConnectReturnCode::{BadUserNamePassword, NotAuthorized};
                    if let ConnectionError::ConnectionRefused(BadUserNamePassword | NotAuthorized) =
                        error
                    {
                        self.has_login = false;
                    }
                    self.wait_longer().await;
                }
            }
        }
    }

    /// Puts a fresh login where rumqttc takes it from, and has it connect anew. Its error is `None`
    /// where there is just no answer.
    async fn use_fresh_login(&mut self) -> Result<(), Option<LoginRefused>> {
        let asked = Instant::now();
        let token = (self.identity_token)().await;
        let call = self
            .http
            .post(format!("{}/v2/tokens/exchange", self.ticketgate))
            .timeout(Duration::from_secs(10))
            .json(&json!({ "organization_id": self.organization, "token": token }));
        let answer = call.send().await.map_err(|_| None)?;
        if [400, 401, 403, 404, 422].contains(&answer.status().as_u16()) {
            let text = answer.text().await.map_err(|_| None)?;
            return Err(Some(LoginRefused(text)));
        }
        let answer = answer.error_for_status().map_err(|_| None)?;
        let login: Login = answer.json().await.map_err(|_| None)?;
        let options = &mut self.events.mqtt_options;
        options.set_credentials(login.mqtt_username, login.mqtt_password);
        self.events.clean();
        self.has_login = true;
        self.renew_at = asked + Duration::from_secs_f64(login.expires_in * 0.9);
        Ok(())
    }

    async fn wait_longer(&mut self) {
        // Not all clients at the same time: half of it, and a random share of the rest.
        let random = RandomState::new().build_hasher().finish() as u8;
        sleep(self.wait.mul_f64(0.5 + f64::from(random) / 512.0)).await;
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
    }
}
