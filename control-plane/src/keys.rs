//! The life of a virtual key: minted, rotated, revoked.
//!
//! A secret exists here only between drawing it and answering. What is stored is its digest. So that
//! a lost answer does not cost a key, an answer to a request with an `Idempotency-Key` is kept sealed
//! for [`REPEATABLE`], and given again to the same actor for the same request.

mod error;

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use bitrouter_keys::{DigestKey, VirtualKeySecret};
use bitrouter_runtime::{Clock, Entropy};

pub(crate) use error::KeyError;

use crate::{
    api::types::{KeyState, KeyView, Meta, MintRequest, Minted, Time},
    names::{ProviderNames, is_name},
    resource::{
        Declared, KeyDigest, Kind, Limits, Owner, Resource, Revision, Spec, User, VirtualKey,
    },
    snapshot::publisher::{Publisher, Urgency},
    store::{Actor, Change, Committed, Expect, Once, OnceOutcome, Store, StoreError},
};

/// For how long an answer that holds a secret can be asked for again.
pub(crate) const REPEATABLE: Duration = Duration::from_mins(10);
/// How many secrets of one key may be accepted at the same time.
const MOST_DIGESTS: usize = 8;
/// The longest that a secret may be accepted after its rotation.
const LONGEST_GRACE: Duration = Duration::from_hours(24 * 90);

/// Mints and changes keys.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    pub(crate) store: Store,
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) clock: Clock,
    pub(crate) entropy: Entropy,
}

/// An answer that holds a secret, and the revision that it is of.
#[derive(Debug)]
pub(crate) struct Answer {
    /// [`Minted`], as JSON.
    pub(crate) body: Vec<u8>,
    /// Absent if the answer was given before.
    pub(crate) revision: Option<Revision>,
}

impl Keys {
    /// Makes a key, and its user if that is new.
    pub(crate) async fn mint(
        &self,
        actor: &Actor,
        request: MintRequest,
        once: Option<Once>,
    ) -> Result<Answer, KeyError> {
        let now_ms = self.clock.now_ms();
        if let Some(answer) = self.replayed(actor, once.as_ref(), now_ms).await? {
            return Ok(answer);
        }
        Self::check(&request, now_ms)?;
        let secret = self.draw();
        let id = format!("key_{}", self.entropy.uuid(self.clock.now()).simple());
        let user = request.user.clone();
        let spec = VirtualKey {
            name: request.name,
            user: request.user,
            models: request.models,
            providers: self.scope(&request.providers).await?,
            expires_at_ms: request.expires_at.map(Time::as_millis),
            limits: request.limits,
            digests: vec![self.digest(&secret).await?],
            public_key: public_key(&secret),
            last4: secret.last4().to_owned(),
            revoked_at_ms: None,
        };
        let user = Declared { id: user, spec: Spec::User(User::default()), secret: None };
        let changes = vec![
            Change::Ensure { declared: user, owner: Owner::Api },
            put(id.clone(), Spec::VirtualKey(spec.clone()), Expect::Absent),
        ];
        let key = Drawn { id, secret, spec, created_at_ms: now_ms, now_ms };
        self.commit(actor, changes, once, key).await
    }

    /// Gives a key another secret; the one before is accepted for a while.
    pub(crate) async fn rotate(
        &self,
        actor: &Actor,
        id: &str,
        grace: Duration,
        once: Option<Once>,
    ) -> Result<Answer, KeyError> {
        let now_ms = self.clock.now_ms();
        if let Some(answer) = self.replayed(actor, once.as_ref(), now_ms).await? {
            return Ok(answer);
        }
        if grace > LONGEST_GRACE {
            return Err(KeyError::GraceTooLong { longest: LONGEST_GRACE });
        }
        let (resource, mut spec) = self.key(id).await?;
        match state(&spec, now_ms) {
            KeyState::Active => {}
            KeyState::Revoked => return Err(KeyError::Revoked),
            KeyState::Expired => return Err(KeyError::Expired),
        }
        let secret = self.draw();
        let until = now_ms.saturating_add(u64::try_from(grace.as_millis()).unwrap_or(u64::MAX));
        spec.digests = rotated(spec.digests, self.digest(&secret).await?, now_ms, until);
        if spec.digests.len() > MOST_DIGESTS {
            return Err(KeyError::TooManyDigests { most: MOST_DIGESTS });
        }
        spec.public_key = public_key(&secret);
        secret.last4().clone_into(&mut spec.last4);
        let expect = Expect::Version(resource.resource_version);
        let change = put(id.to_owned(), Spec::VirtualKey(spec.clone()), expect);
        let created_at_ms = resource.created_at_ms;
        let key = Drawn { id: id.to_owned(), secret, spec, created_at_ms, now_ms };
        self.commit(actor, vec![change], once, key).await
    }

    /// Takes a key back, at once. One that was taken back stays as it is.
    pub(crate) async fn revoke(
        &self,
        actor: &Actor,
        id: &str,
    ) -> Result<(KeyView, Revision), KeyError> {
        let now_ms = self.clock.now_ms();
        let (resource, mut spec) = self.key(id).await?;
        if spec.revoked_at_ms.is_some() {
            return Ok((view(&resource, &spec, now_ms), resource.resource_version));
        }
        spec.revoked_at_ms = Some(now_ms);
        let expect = Expect::Version(resource.resource_version);
        let change = put(id.to_owned(), Spec::VirtualKey(spec), expect);
        let committed = self.store.commit(actor, vec![change], now_ms).await?;
        self.publisher.notify(Urgency::Immediate);
        let (resource, spec) = self.key(id).await?;
        Ok((view(&resource, &spec, now_ms), committed.revision))
    }

    /// A key, as it is shown.
    pub(crate) async fn show(&self, id: &str) -> Result<KeyView, KeyError> {
        let (resource, spec) = self.key(id).await?;
        Ok(view(&resource, &spec, self.clock.now_ms()))
    }

    async fn key(&self, id: &str) -> Result<(Resource, VirtualKey), KeyError> {
        let found = self.store.resource(Kind::VirtualKey, id).await?;
        let unknown = || KeyError::Unknown { id: id.to_owned() };
        let resource = found.ok_or_else(unknown)?;
        let Spec::VirtualKey(spec) = resource.spec.clone() else { return Err(unknown()) };
        Ok((resource, spec))
    }

    fn check(request: &MintRequest, now_ms: u64) -> Result<(), KeyError> {
        if !is_name(&request.user) {
            return Err(KeyError::User);
        }
        if request.name.as_deref().is_some_and(|name| !is_name(name)) {
            return Err(KeyError::Name);
        }
        let Limits { rpm, tpm, concurrency } = request.limits;
        let limits = [
            ("rpm", rpm.map(u64::from)),
            ("tpm", tpm),
            ("concurrency", concurrency.map(u64::from)),
        ];
        if let Some((limit, _)) = limits.into_iter().find(|(_, value)| *value == Some(0)) {
            return Err(KeyError::ZeroLimit { limit });
        }
        if request.expires_at.is_some_and(|end| end.as_millis() <= now_ms) {
            return Err(KeyError::ExpiresInThePast);
        }
        Ok(())
    }

    /// A scope by the providers' ids, whichever of their names were said.
    async fn scope(&self, named: &[String]) -> Result<Vec<String>, KeyError> {
        if named.is_empty() {
            return Ok(Vec::new());
        }
        let providers = ProviderNames::read(&self.store, &self.publisher).await?;
        let mut ids = Vec::with_capacity(named.len());
        for name in named {
            let id = providers.id_of(name)?;
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        Ok(ids)
    }

    /// The answer to a request that comes again, which is not checked anew: the key that it made may
    /// be all that keeps it from being allowed now.
    async fn replayed(
        &self,
        actor: &Actor,
        once: Option<&Once>,
        now_ms: u64,
    ) -> Result<Option<Answer>, KeyError> {
        let Some(once) = once else { return Ok(None) };
        let body = self.store.replay(actor, once, now_ms).await?;
        Ok(body.map(|body| Answer { body, revision: None }))
    }

    fn draw(&self) -> VirtualKeySecret {
        VirtualKeySecret::from_entropy(self.entropy.bytes())
    }

    async fn digest(&self, secret: &VirtualKeySecret) -> Result<KeyDigest, KeyError> {
        let row = self.store.digest_key().await?;
        let digest = secret.digest(&DigestKey::new(*row.key)).to_string();
        Ok(KeyDigest { digest, not_after_ms: None })
    }

    async fn commit(
        &self,
        actor: &Actor,
        changes: Vec<Change>,
        once: Option<Once>,
        key: Drawn,
    ) -> Result<Answer, KeyError> {
        let now_ms = key.now_ms;
        let answer = match once {
            None => {
                let committed = self.store.commit(actor, changes, now_ms).await?;
                Answer { body: key.answer(&committed), revision: Some(committed.revision) }
            }
            Some(once) => {
                let answer = move |committed: &Committed| key.answer(committed);
                let outcome = self.store.commit_once(actor, changes, &once, now_ms, answer);
                match outcome.await? {
                    OnceOutcome::Committed(committed, body) => {
                        Answer { body, revision: Some(committed.revision) }
                    }
                    OnceOutcome::Replayed(body) => Answer { body, revision: None },
                }
            }
        };
        self.publisher.notify(Urgency::Immediate);
        Ok(answer)
    }
}

/// A secret that was drawn and is not stored yet.
struct Drawn {
    id: String,
    secret: VirtualKeySecret,
    spec: VirtualKey,
    created_at_ms: u64,
    now_ms: u64,
}

impl Drawn {
    /// The only place where a secret becomes part of an answer.
    fn answer(self, committed: &Committed) -> Vec<u8> {
        let resource = Resource {
            id: self.id,
            owner: Owner::Api,
            resource_version: committed.revision,
            created_at_ms: self.created_at_ms,
            updated_at_ms: self.now_ms,
            spec: Spec::VirtualKey(self.spec.clone()),
        };
        let view = view(&resource, &self.spec, self.now_ms);
        let minted = Minted { key: self.secret.as_str().to_owned(), view };
        // A type of texts and numbers always serialises.
        serde_json::to_vec(&minted).unwrap_or_default()
    }
}

/// A key as it is shown.
pub(crate) fn view(resource: &Resource, spec: &VirtualKey, now_ms: u64) -> KeyView {
    let accepted = |digest: &&KeyDigest| digest.not_after_ms.is_some_and(|end| end > now_ms);
    let previous = spec.digests.iter().skip(1).filter(accepted);
    KeyView {
        id: resource.id.clone(),
        meta: Meta::of(resource),
        state: state(spec, now_ms),
        name: spec.name.clone(),
        user: spec.user.clone(),
        models: spec.models.clone(),
        providers: spec.providers.clone(),
        expires_at: spec.expires_at_ms.map(Time::from_millis),
        limits: spec.limits,
        last4: spec.last4.clone(),
        public_key: spec.public_key.clone(),
        previous_until: previous.filter_map(|old| old.not_after_ms).max().map(Time::from_millis),
        revoked_at: spec.revoked_at_ms.map(Time::from_millis),
    }
}

fn state(spec: &VirtualKey, now_ms: u64) -> KeyState {
    match (spec.revoked_at_ms, spec.expires_at_ms) {
        (Some(_), _) => KeyState::Revoked,
        (None, Some(end)) if end <= now_ms => KeyState::Expired,
        (None, _) => KeyState::Active,
    }
}

/// The new digest first; older ones end with the grace, or sooner if that was said before.
fn rotated(old: Vec<KeyDigest>, new: KeyDigest, now_ms: u64, until_ms: u64) -> Vec<KeyDigest> {
    let end = |digest: &KeyDigest| digest.not_after_ms.map_or(until_ms, |end| end.min(until_ms));
    let old = old.into_iter().map(|digest| (end(&digest), digest));
    let kept = old.filter(|(end, _)| *end > now_ms);
    let kept = kept.map(|(end, digest)| KeyDigest { not_after_ms: Some(end), ..digest });
    std::iter::once(new).chain(kept).collect()
}

fn put(id: String, spec: Spec, expect: Expect) -> Change {
    Change::Put { declared: Declared { id, spec, secret: None }, owner: Owner::Api, expect }
}

fn public_key(secret: &VirtualKeySecret) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(secret.public_key())
}

impl From<StoreError> for KeyError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(name: &str, not_after_ms: Option<u64>) -> KeyDigest {
        KeyDigest { digest: name.to_owned(), not_after_ms }
    }

    #[test]
    fn rotation_never_prolongs_and_drops_what_is_over() {
        let old = vec![
            digest("current", None),
            digest("sooner", Some(150)),
            digest("later", Some(900)),
            digest("over", Some(100)),
        ];
        let ends = |until| {
            rotated(old.clone(), digest("new", None), 100, until)
                .into_iter()
                .map(|digest| (digest.digest, digest.not_after_ms))
                .collect::<Vec<_>>()
        };
        let named = |name: &str, end| (name.to_owned(), end);
        assert_eq!(
            ends(200),
            [
                named("new", None),
                named("current", Some(200)),
                named("sooner", Some(150)),
                named("later", Some(200)),
            ]
        );
        assert_eq!(ends(100), [named("new", None)]);
    }
}
