//! Organizations: making one.

use std::fmt::Display;

use uuid::Uuid;

use crate::acl::document::{Mistake, PRESETS, preset};
use crate::app::App;
use crate::app::audit::Note;
use crate::limits::counts::{Counted, LimitReached, LimitsChange, OrganizationLimits, TooHigh};
use crate::names::marks::Marks;
use crate::names::organization_id::{OrganizationId, OrganizationName};
use crate::names::origin::Origin;
use crate::org::audit::Action;
use crate::org::organization::{
    CannotAdd, MAX_NAME_LENGTH, Organization, RefreshMode, TokenLife, TokenRules,
};
use crate::org::provider::BadProvider;
use crate::store::port::{self, Change, StoreError};
use crate::store::record::{Alias, KnownOrigin, Policy};

/// Why something cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// No organization of that name.
    #[error("there is no such organization; `ticketgate org create` makes one")]
    NoSuchOrganization,
    /// Empty, over-long or with control characters.
    #[error("a name is 1 to {MAX_NAME_LENGTH} bytes without control characters")]
    Name,
    /// A secret that was sealed elsewhere.
    #[error(
        "the provider's secret cannot be opened; is its pepper in the key list of this server?"
    )]
    SecretLost,
    /// No preset of that name.
    #[error("there is no preset of that name; choose one of: {}", PRESETS.map(|(name, _)| name).join(", "))]
    NoSuchPreset,
    /// There are as many as there may be.
    #[error(transparent)]
    Limit(#[from] LimitReached),
    /// More than anybody may have.
    #[error(transparent)]
    TooHigh(#[from] TooHigh),
    /// A restricted key without scopes could do nothing.
    #[error("a restricted key needs at least one --scope")]
    NoScopes,
    /// The policy document is wrong.
    #[error("the policy has {} mistake(s):\n{}", .0.len(), lines(.0))]
    Policy(Vec<Mistake>),
    /// The provider is wrong.
    #[error(transparent)]
    Provider(#[from] BadProvider),
    /// The provider does not fit beside the others.
    #[error(transparent)]
    CannotAdd(#[from] CannotAdd),
    /// The username could be given to a subject of a provider as well.
    #[error(
        "the name `{0}` is reserved: `server` is the service user, and names that begin with a \
         provider's prefix belong to its subjects"
    )]
    ReservedName(String),
    /// It would be taken for a minted password or an API key at CONNECT.
    #[error("a password must not begin with tkn_, sk_, pk_ or rk_: those are minted")]
    PasswordPrefix,
    /// No key can be like that.
    #[error("{0}")]
    Key(String),
    /// There is one already.
    #[error("there is one of that name already")]
    Exists,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a new organization is like.
#[derive(Debug)]
pub struct NewOrganization<'a> {
    /// What its owner calls it.
    pub name: &'a str,
    /// The policy that it begins with.
    pub preset: &'a str,
    /// Web origins whose pages may exchange tokens.
    pub allowed_origins: Vec<Origin>,
}

/// What is to change of an organization; `None`: nothing.
#[derive(Debug, Default)]
pub struct OrganizationChange {
    /// What a refresh does to the password.
    pub refresh: Option<RefreshMode>,
    /// For how long a token may be refreshed.
    pub refreshable_seconds: Option<u32>,
    /// The most live tokens of one user.
    pub max_per_user: Option<u32>,
    /// The most tokens of all.
    pub max_tokens: Option<u64>,
    /// More web origins whose pages may ask for tokens.
    pub allow_origins: Vec<Origin>,
    /// How much it may have, and how often it may ask.
    pub limits: LimitsChange,
}

impl OrganizationChange {
    /// What the audit log says of it.
    fn note(&self, app: &App, id: &OrganizationId) -> Note {
        let origins: Vec<&str> = self.allow_origins.iter().map(Origin::as_str).collect();
        let origins = origins.join(" ");
        let mode = self
            .refresh
            .map(|mode| format!("{mode:?}").to_ascii_lowercase());
        let said: [(&str, Option<&dyn Display>); 5] = [
            ("refresh", mode.as_ref().map(|one| one as _)),
            (
                "refreshable_seconds",
                self.refreshable_seconds.as_ref().map(|one| one as _),
            ),
            (
                "max_per_user",
                self.max_per_user.as_ref().map(|one| one as _),
            ),
            ("max_tokens", self.max_tokens.as_ref().map(|one| one as _)),
            (
                "allow_origins",
                (!origins.is_empty()).then_some(&origins as _),
            ),
        ];
        let note = app.note(Action::OrganizationUpdate, id).on(id);
        said.into_iter()
            .fold(note, |note, (name, value)| note.with_some(name, value))
    }

    fn apply(&self, organization: &mut Organization) -> Result<(), SetupError> {
        let rules = &mut organization.token_rules;
        rules.refresh = self.refresh.unwrap_or(rules.refresh);
        rules.refreshable_seconds = self
            .refreshable_seconds
            .unwrap_or(rules.refreshable_seconds);
        rules.max_per_user = self.max_per_user.or(rules.max_per_user);
        rules.max_tokens = self.max_tokens.or(rules.max_tokens);
        organization.limits.change(&self.limits)?;
        for origin in &self.allow_origins {
            if !organization.allows_origin(origin) {
                let number = organization.allowed_origins.len() as u64 + 1;
                let counts = &organization.limits.counts;
                counts.check(Counted::Origins, number)?;
                organization.allowed_origins.push(origin.clone());
            }
        }
        Ok(())
    }
}

impl App {
    /// Makes an organization.
    ///
    /// # Errors
    /// [`SetupError`].
    pub async fn create_organization(
        &self,
        new: NewOrganization<'_>,
    ) -> Result<Organization, SetupError> {
        SetupError::check_name(new.name)?;
        let document = preset(new.preset).ok_or(SetupError::NoSuchPreset)?;
        let limits = OrganizationLimits::default();
        let origins = new.allowed_origins.len() as u64;
        limits.counts.check(Counted::Origins, origins)?;
        let organization = Organization {
            id: OrganizationId::random(),
            alias: Uuid::new_v4(),
            name: new.name.to_owned(),
            token_life: TokenLife::default(),
            allowed_origins: new.allowed_origins,
            providers: Vec::new(),
            retired_prefixes: Vec::new(),
            created_at: self.now(),
            token_rules: TokenRules::default(),
            limits,
            service_keys: Vec::new(),
            marks: Marks::default(),
        };
        // What belongs to the organization comes first: the organization itself makes it visible.
        let policy = Policy::parse(document.into()).map_err(SetupError::Policy)?;
        port::create(&*self.store, &organization.id, policy).await?;
        let alias = Alias {
            organization: organization.id.clone(),
        };
        port::create(&*self.store, &organization.alias, alias).await?;
        for origin in &organization.allowed_origins {
            match port::create(&*self.store, origin, KnownOrigin {}).await {
                Ok(_) | Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let note = self.note(Action::OrganizationCreate, &organization.id);
        let line = note.on(&organization.id).with("name", &new.name).line();
        let (id, made) = (&organization.id, organization.clone());
        port::create_audited(&*self.store, id, made, line).await?;
        Ok(organization)
    }

    /// Changes what is named of an organization. Returns it as it is then.
    ///
    /// # Errors
    /// [`SetupError`].
    pub async fn change_organization(
        &self,
        organization: OrganizationName,
        change: OrganizationChange,
    ) -> Result<Organization, SetupError> {
        let id = self.organization_id(organization).await?;
        let id = id.ok_or(SetupError::NoSuchOrganization)?;
        for origin in &change.allow_origins {
            match port::create(&*self.store, origin, KnownOrigin {}).await {
                Ok(_) | Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut changed = None;
        port::update::<Organization, SetupError>(&*self.store, &id, |current| {
            let mut organization = current.ok_or(SetupError::NoSuchOrganization)?.clone();
            change.apply(&mut organization)?;
            changed = Some(organization.clone());
            let line = change.note(self, &id).line();
            Ok(Change::Audited(organization, line))
        })
        .await?;
        changed.ok_or(SetupError::NoSuchOrganization)
    }

    /// Whether any organization allows the origin: all that a CORS preflight can be judged by.
    ///
    /// # Errors
    /// The store's.
    pub async fn knows_origin(&self, origin: &Origin) -> Result<bool, StoreError> {
        Ok(port::read::<KnownOrigin>(&*self.store, origin)
            .await?
            .is_some())
    }
}

impl SetupError {
    /// Checks the name of an organization or key.
    ///
    /// # Errors
    /// [`SetupError::Name`].
    pub fn check_name(name: &str) -> Result<(), SetupError> {
        let good = !name.is_empty()
            && name.len() <= MAX_NAME_LENGTH
            && !name.chars().any(char::is_control);
        if good { Ok(()) } else { Err(SetupError::Name) }
    }
}

fn lines(mistakes: &[Mistake]) -> String {
    let lines: Vec<String> = mistakes
        .iter()
        .map(|mistake| format!("  {mistake}"))
        .collect();
    lines.join("\n")
}
