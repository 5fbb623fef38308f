//! Minting: a credential is stored with its holder and its index. All ways to a token end here.

use jiff::Timestamp;
use tokio::try_join;

use crate::acl::template::Template;
use crate::app::App;
use crate::app::tokens::{ExchangeError, MintedToken};
use crate::credential::holder::{Credential, CredentialKind, Holder, HolderIdentity, Standing};
use crate::credential::key_rules::{KeyRules, limits_within};
use crate::credential::minted_password::{self, MintedPassword};
use crate::credential::terms::{Limits, MAX_CLIENT_ID, MAX_TOPICS, Terms};
use crate::engine::authenticate::check_minted;
use crate::engine::member::Member;
use crate::identity::jwt::TokenError;
use crate::names::claims::Claims;
use crate::names::marks::Marks;
use crate::names::token_id::TokenId;
use crate::names::username::{LocalName, Username};
use crate::org::audit::Action;
use crate::org::organization::Organization;
use crate::store::audit::Line;
use crate::store::port::{self, Change, StoreError, Updated};
use crate::store::record::{Kept as _, TokenIndex};

/// The longest topic of a narrower right, in bytes.
const MAX_TOPIC: usize = 1_024;
/// How often a replacement is made again because the store has another state when it is confirmed.
const MAX_TRIES: usize = 16;

/// How a token is narrower than a plain login.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Narrowing {
    /// The only client id that may use it.
    pub client_id: Option<String>,
    /// What it may do at most.
    pub limits: Option<Limits>,
}

/// A token to mint.
pub(super) struct Draft<'a> {
    pub organization: &'a Organization,
    pub name: LocalName,
    pub identity: HolderIdentity,
    pub claims: Claims,
    pub narrowing: &'a Narrowing,
    /// The life asked for, in seconds.
    pub ttl_seconds: Option<u32>,
    /// Its end at the latest.
    pub latest: Timestamp,
    /// Whether it takes the place of all tokens that its holder has.
    pub replaces: bool,
    pub subject: String,
    pub email: Option<String>,
    pub provider: &'static str,
    /// The token that this one is a narrower form of.
    pub parent: Option<Parent<'a>>,
}

/// A token that was shown for a narrower one.
#[derive(Clone, Copy)]
pub(super) struct Parent<'a> {
    pub id: TokenId,
    pub password: MintedPassword<'a>,
    /// When it was minted. The narrower one is as old: what ends the one by its age ends the other.
    pub born: Timestamp,
}

impl Narrowing {
    /// What is narrower than both; `None`: it cannot be said.
    pub(super) fn within(&self, terms: Option<&Terms>) -> Option<Self> {
        let mut narrowing = self.clone();
        let Some(terms) = terms else {
            return Some(narrowing);
        };
        match (&self.client_id, &terms.client_id) {
            (Some(asked), Some(bound)) if asked != bound => return None,
            (_, Some(bound)) => narrowing.client_id = Some(bound.clone()),
            (_, None) => {}
        }
        if let Some(outer) = &terms.limits {
            let asked = self.limits.clone();
            let mut limits = asked.unwrap_or_else(|| outer.clone());
            limits.publish &= outer.publish;
            limits.subscribe &= outer.subscribe;
            match (&limits.topics, &outer.topics) {
                (Some(inner), Some(outer)) if inner != outer => return None,
                (None, Some(outer)) => limits.topics = Some(outer.clone()),
                _ => {}
            }
            narrowing.limits = Some(limits);
        }
        Some(narrowing)
    }

    /// What is narrower than the key that mints it, too; `None`: more is asked for than it may.
    pub(super) fn within_key(&self, key: Option<&KeyRules>) -> Option<Self> {
        let mut narrowing = self.clone();
        if let Some(outer) = key.and_then(|rules| rules.limits.as_ref()) {
            let mut limits = narrowing.limits.unwrap_or_else(|| outer.clone());
            limits.publish &= outer.publish;
            limits.subscribe &= outer.subscribe;
            limits.topics = limits.topics.or_else(|| outer.topics.clone());
            if !limits_within(&limits, outer) {
                return None;
            }
            narrowing.limits = Some(limits);
        }
        Some(narrowing)
    }

    /// Checks what a caller wants.
    ///
    /// # Errors
    /// [`ExchangeError::Narrowing`].
    pub fn check(&self) -> Result<(), ExchangeError> {
        let wrong = |text: String| Err(ExchangeError::Narrowing(text));
        if let Some(id) = &self.client_id
            && (id.is_empty() || id.len() > MAX_CLIENT_ID || id.chars().any(char::is_control))
        {
            return wrong(format!(
                "client_id is 1 to {MAX_CLIENT_ID} bytes without control characters"
            ));
        }
        let topics = self.limits.as_ref().and_then(|one| one.topics.as_ref());
        let Some(topics) = topics else { return Ok(()) };
        if topics.is_empty() || topics.len() > MAX_TOPICS {
            return wrong(format!("topics are 1 to {MAX_TOPICS}"));
        }
        for (number, topic) in topics.iter().enumerate() {
            if topic.len() > MAX_TOPIC {
                return wrong(format!("topics[{number}] is over {MAX_TOPIC} bytes"));
            }
            if let Err(error) = Template::parse(topic) {
                return wrong(format!("topics[{number}]: {error}"));
            }
        }
        Ok(())
    }
}

impl Draft<'_> {
    /// The holder with the credential, and the live tokens that it has replaced.
    fn hold(
        &self,
        username: &Username,
        current: Option<&Holder>,
        credential: &Credential,
        now: Timestamp,
    ) -> Result<(Holder, Vec<TokenId>), ExchangeError> {
        let marks = &self.organization.marks;
        let mut holder = match current {
            Some(holder) if holder.identity != self.identity => {
                return Err(ExchangeError::NameTaken);
            }
            Some(holder) => holder.clone(),
            None => Holder {
                name: username.local.clone(),
                organization: username.organization.clone(),
                identity: self.identity.clone(),
                credentials: Vec::new(),
            },
        };
        let mut replaced = Vec::new();
        if self.replaces {
            replaced = live_tokens(&holder, marks, now).collect();
            holder.revoke(is_one_of(&replaced), now);
        }
        let live = live_tokens(&holder, marks, now).count();
        let max = self.organization.token_rules.max_per_user;
        if let Some(max) = max.filter(|max| live >= *max as usize) {
            return Err(ExchangeError::UserFull(max));
        }
        holder.add(credential.clone(), marks, now)?;
        Ok((holder, replaced))
    }
}

impl App {
    /// Mints. When this returns, the login works and would survive a crash, and what it replaces is
    /// over on every node.
    pub(super) async fn mint(&self, draft: Draft<'_>) -> Result<MintedToken, ExchangeError> {
        draft.narrowing.check()?;
        let organization = draft.organization;
        self.check_mint_rate(organization)?;
        let now = self.now();
        let end = organization
            .token_life
            .end(now, draft.ttl_seconds, draft.latest);
        let end = end.ok_or(TokenError::Expired)?;
        let minted = minted_password::mint(&self.keys);
        let username = Username {
            local: draft.name.clone(),
            organization: organization.id.clone(),
        };
        let credential = Credential {
            kind: CredentialKind::of(&minted),
            claims: draft.claims.clone(),
            issued_at: draft.parent.map_or(now, |parent| parent.born),
            epoch: organization.marks.epoch,
            expires_at: Some(end),
            revoked_at: None,
            terms: terms(&draft, now, end).map(Box::new),
        };
        if organization.token_rules.max_tokens.is_some() {
            // What is refused here leaves no index behind, which would count as a token.
            let known = port::read::<Holder>(&*self.store, &username).await?;
            let (_, replaced) = draft.hold(&username, known.as_deref(), &credential, now)?;
            self.check_room(organization, replaced.len() as u64).await?;
        }
        let holding = self.hold(&username, &draft, &credential, now);
        // An index that is left alone by a crash leads nowhere and expires.
        let indexing = self.index(minted.id, &username, end);
        let ((), (held, replaced)) = try_join!(indexing, holding)?;
        if !replaced.is_empty() {
            self.confirm_replaced(&username, &credential, &replaced, held, now)
                .await?;
            self.give_back(organization, &replaced).await;
            self.metrics.revoked(replaced.len());
        }
        self.metrics.minted();
        self.count_mint(organization);
        tracing::info!(%username, token = %minted.id, expires_at = %end, "minted");
        Ok(MintedToken {
            id: minted.id,
            username,
            password: minted.password,
            subject: draft.subject,
            email: draft.email,
            provider: draft.provider,
            limits: draft.narrowing.limits.clone(),
            issued_at: now,
            handed_out_at: now,
            expires_at: end,
        })
    }

    /// What the audit log says of a token that is minted.
    pub(in crate::app) fn mint_line(
        &self,
        username: &Username,
        credential: &Credential,
        replaced: usize,
    ) -> Box<Line> {
        let note = self.note(Action::TokenMint, &username.organization);
        let mut note = note.on(username);
        if let Some(id) = credential.token_id() {
            note = note.with("token", &id);
        }
        if let Some(end) = credential.expires_at {
            note = note.with("expires_at", &end);
        }
        if replaced > 0 {
            note = note.with("replaced", &replaced);
        }
        note.line()
    }

    /// Stores whose a token is.
    pub(in crate::app) async fn index(
        &self,
        id: TokenId,
        username: &Username,
        expires_at: Timestamp,
    ) -> Result<(), ExchangeError> {
        let index = TokenIndex {
            name: username.local.clone(),
            organization: username.organization.clone(),
            expires_at,
        };
        port::create(&*self.store, &id, index).await?;
        Ok(())
    }

    /// Stores the credential with its holder, whom it makes where there is none yet. Returns the
    /// live tokens that it has replaced.
    async fn hold(
        &self,
        username: &Username,
        draft: &Draft<'_>,
        credential: &Credential,
        now: Timestamp,
    ) -> Result<(Updated, Vec<TokenId>), ExchangeError> {
        let mut replaced = Vec::new();
        let updated = port::update::<Holder, ExchangeError>(&*self.store, username, |current| {
            if let Some(parent) = draft.parent {
                self.check_parent(draft.organization, current, parent, now)?;
            }
            let holder;
            (holder, replaced) = draft.hold(username, current, credential, now)?;
            let line = self.mint_line(username, credential, replaced.len());
            Ok(Change::Audited(holder, line))
        })
        .await?;
        Ok((updated, replaced))
    }

    /// Whether the token that was shown is good at the moment at which a narrower one is stored: a
    /// revoke that came before is not overtaken. An earlier password is for reconnecting only.
    fn check_parent(
        &self,
        organization: &Organization,
        current: Option<&Holder>,
        parent: Parent<'_>,
        now: Timestamp,
    ) -> Result<(), ExchangeError> {
        let member = Member::of(Some(organization), current);
        let shown = check_minted(parent.password, member, &self.keys, now);
        let shown = shown.map_err(|_| ExchangeError::UnknownToken)?;
        match shown.member.standing(shown.credential, now) {
            Standing::Live if shown.is_newest => Ok(()),
            Standing::Live => Err(ExchangeError::UnknownToken),
            Standing::Expired => Err(ExchangeError::Expired),
            Standing::Revoked => Err(ExchangeError::Revoked),
        }
    }

    /// Waits until no node allows the replaced tokens any more. Where the store has another state by
    /// then, the change is made again.
    async fn confirm_replaced(
        &self,
        username: &Username,
        credential: &Credential,
        replaced: &[TokenId],
        held: Updated,
        now: Timestamp,
    ) -> Result<(), ExchangeError> {
        let mut state = held.revision;
        for _ in 0..MAX_TRIES {
            match self.store.confirm(&Holder::key(username), state).await {
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(ExchangeError::Unconfirmed(error)),
                Ok(_) => return Ok(()),
            }
            let again = |current: Option<&Holder>| {
                let Some(mut holder) = current.cloned() else {
                    return Ok(Change::Keep);
                };
                holder.revoke(is_one_of(replaced), now);
                if holder
                    .token(credential.token_id().unwrap_or(replaced[0]))
                    .is_none()
                {
                    holder.add(credential.clone(), &Marks::default(), now)?;
                }
                let line = self.mint_line(username, credential, replaced.len());
                Ok::<_, ExchangeError>(Change::Audited(holder, line))
            };
            state = port::update(&*self.store, username, again).await?.revision;
        }
        Err(ExchangeError::Unconfirmed(StoreError::Conflict))
    }
}

fn terms(draft: &Draft<'_>, now: Timestamp, end: Timestamp) -> Option<Terms> {
    let life = draft.organization.token_life;
    let asked = draft.ttl_seconds.unwrap_or(life.default_seconds);
    let asked = asked.min(life.max_seconds);
    let is_cut = end.duration_since(now).as_secs() != i64::from(asked);
    let terms = Terms {
        client_id: draft.narrowing.client_id.clone(),
        limits: draft.narrowing.limits.clone(),
        life_seconds: is_cut.then_some(asked),
        refreshed_at: draft.parent.map(|_| now),
        parent: draft.parent.map(|parent| parent.id),
        ..Terms::default()
    };
    (!terms.is_empty()).then_some(terms)
}

fn live_tokens(holder: &Holder, marks: &Marks, now: Timestamp) -> impl Iterator<Item = TokenId> {
    holder.live(marks, now).filter_map(Credential::token_id)
}

fn is_one_of(tokens: &[TokenId]) -> impl Fn(&Credential) -> bool {
    |credential| credential.token_id().is_some_and(|id| tokens.contains(&id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(publish: bool, subscribe: bool, topics: Option<&[&str]>) -> Limits {
        let topics = topics.map(|topics| topics.iter().map(|one| (*one).to_owned()).collect());
        Limits {
            publish,
            subscribe,
            topics,
        }
    }

    fn narrowing(client: Option<&str>, limits: Option<Limits>) -> Narrowing {
        Narrowing {
            client_id: client.map(str::to_owned),
            limits,
        }
    }

    #[test]
    fn what_is_narrower_than_both_is_never_wider_than_either() {
        let outer = Terms {
            client_id: Some("c".into()),
            limits: Some(limits(true, false, Some(&["a/#"]))),
            ..Terms::default()
        };
        let within = |asked: Narrowing| asked.within(Some(&outer));
        let inherited = narrowing(Some("c"), outer.limits.clone());
        assert_eq!(within(narrowing(None, None)), Some(inherited.clone()));
        let wider = narrowing(Some("c"), Some(limits(true, true, None)));
        assert_eq!(within(wider), Some(inherited));
        assert_eq!(within(narrowing(Some("d"), None)), None, "another client");
        let other = narrowing(None, Some(limits(true, true, Some(&["a/b"]))));
        assert_eq!(within(other), None, "two lists of topics cannot be one");
        let plain = narrowing(None, Some(limits(true, true, Some(&["x"]))));
        assert_eq!(plain.within(None), Some(plain.clone()));
        let open = Terms::default();
        assert_eq!(plain.within(Some(&open)), Some(plain));
    }

    #[test]
    fn a_right_is_checked_before_anything_is_stored() {
        let topics = |topics: &[&str]| narrowing(None, Some(limits(true, true, Some(topics))));
        let good = topics(&["a/{username}/#", "$notifications/+"]);
        assert!(good.check().is_ok());
        assert!(topics(&[]).check().is_err());
        assert!(topics(&["a/#/b"]).check().is_err());
        assert!(topics(&["a"; MAX_TOPICS + 1]).check().is_err());
        assert!(topics(&[&"a".repeat(MAX_TOPIC + 1)]).check().is_err());
        assert!(narrowing(Some(""), None).check().is_err());
        assert!(narrowing(Some("a\0"), None).check().is_err());
        assert!(narrowing(Some("dev-1"), None).check().is_ok());
    }
}
