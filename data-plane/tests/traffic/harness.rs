//! A data plane with a table made by hand, in front of fake providers.

use std::{net::SocketAddr, time::Duration};

use bitrouter_data_plane::{
    DataPlane, Handle, Settings,
    spool::reporter::report,
    sync::Tables,
    table::{Incoming, Revision, RoutingTable},
};
use bitrouter_proto::v1;
use bitrouter_runtime::{Clock, Entropy, readiness::Readiness};
use bitrouter_testkit::FakeProvider;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::planes;

/// The paths of the four dialects, for a model `m`.
pub(crate) const CHAT: &str = "/v1/chat/completions";
pub(crate) const RESPONSES: &str = "/v1/responses";
pub(crate) const MESSAGES: &str = "/v1/messages";
pub(crate) const GEMINI: &str = "/v1beta/models/m:generateContent";

const DIALECTS: [v1::Dialect; 4] = [
    v1::Dialect::ChatCompletions,
    v1::Dialect::Responses,
    v1::Dialect::Messages,
    v1::Dialect::GenerateContent,
];

/// A running data plane and a client.
pub(crate) struct Router {
    pub(crate) handle: Handle,
    pub(crate) client: Client<HttpConnector, Full<Bytes>>,
    _home: TempDir,
}

/// What a client got.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// True if the body broke off.
    pub(crate) is_cut: bool,
}

impl Got {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Router {
    /// One that serves the model `m` from the given providers, in their order.
    pub(crate) async fn of(providers: &[&FakeProvider]) -> Self {
        let resources = providers
            .iter()
            .enumerate()
            .flat_map(|(at, fake)| provider(&format!("p{at}"), at, fake, &["m"]));
        Self::start(resources.collect(), |_| {}).await
    }

    /// One with these resources.
    pub(crate) async fn start(
        resources: Vec<v1::Resource>,
        adjust: impl FnOnce(&mut Settings),
    ) -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut settings = Settings::new(home.path());
        settings.listen.address = SocketAddr::from(([127, 0, 0, 1], 0));
        settings.skip_auth = true;
        adjust(&mut settings);
        let incoming = resources.into_iter().filter_map(Incoming::from_wire).collect();
        let table = RoutingTable::empty().replace(Revision(7), incoming);
        assert_eq!(table.rejections().len(), 0, "{:?}", table.rejections().collect::<Vec<_>>());
        let handle = DataPlane::serve(
            settings,
            Tables::new(table),
            Readiness::default(),
            Clock::system(),
            Entropy::system(),
        )
        .await
        .unwrap();
        handle.ready().await;
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { handle, client, _home: home }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.handle.address())
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<Bytes>) -> Got {
        self.send(Request::post(self.url(path)).body(Full::new(body.into())).unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Got {
        self.call(Method::GET, path, &[], "").await
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Got {
        let mut request = Request::builder().method(method).uri(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Full::new(body.into())).unwrap()).await
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Got {
        let answer = tokio::time::timeout(Duration::from_secs(20), async {
            let response = self.client.request(request).await.expect("the router answers");
            let (head, mut body) = response.into_parts();
            let (mut whole, mut is_cut) = (Vec::new(), false);
            while let Some(frame) = body.frame().await {
                let Ok(frame) = frame else {
                    is_cut = true;
                    break;
                };
                whole.extend_from_slice(&frame.into_data().unwrap_or_default());
            }
            Got { status: head.status, headers: head.headers, body: whole.into(), is_cut }
        });
        answer.await.expect("the router answers in time")
    }
}

/// A provider that speaks every dialect, and its account.
pub(crate) fn provider(
    id: &str,
    position: usize,
    fake: &FakeProvider,
    models: &[&str],
) -> Vec<v1::Resource> {
    let rule = v1::DialectRule {
        glob: "*".to_owned(),
        dialects: DIALECTS.iter().map(|&dialect| dialect.into()).collect(),
    };
    let base_urls = vec![
        v1::BaseUrl { dialect: v1::Dialect::Unspecified.into(), url: fake.url() },
        v1::BaseUrl { dialect: v1::Dialect::GenerateContent.into(), url: fake.gemini_url() },
    ];
    let bearer = v1::auth::Scheme::Bearer(v1::auth::Bearer {});
    let spec = v1::Provider {
        dialects: vec![rule],
        base_urls,
        auth: Some(v1::Auth { scheme: Some(bearer) }),
        models: models.iter().map(|model| self::model(model)).collect(),
        position: u32::try_from(position).unwrap(),
        billing: v1::Billing::Token.into(),
        account_strategy: v1::AccountStrategy::Failover.into(),
        needs_account: true,
        ..v1::Provider::default()
    };
    let account = v1::Account {
        provider_id: id.to_owned(),
        label: "main".to_owned(),
        secret: format!("secret-of-{id}").into(),
        weight: 1,
        ..v1::Account::default()
    };
    vec![
        resource(v1::Kind::Provider, id, v1::resource::Spec::Provider(spec)),
        resource(v1::Kind::Account, &format!("{id}/main"), v1::resource::Spec::Account(account)),
    ]
}

/// A model at 1 USD per million input tokens and 10 USD per million output tokens.
pub(crate) fn model(id: &str) -> v1::Model {
    let base = v1::Rates {
        input_uncached: Some(1_000_000),
        cache_read: Some(100_000),
        cache_write_5m: Some(1_250_000),
        output: Some(10_000_000),
        ..v1::Rates::default()
    };
    v1::Model {
        id: id.to_owned(),
        price: Some(v1::Price { base: Some(base), ..v1::Price::default() }),
        ..v1::Model::default()
    }
}

pub(crate) fn resource(kind: v1::Kind, id: &str, spec: v1::resource::Spec) -> v1::Resource {
    let reference = v1::ResourceRef { kind: kind.into(), id: id.to_owned() };
    v1::Resource { r#ref: Some(reference), version: 1, spec: Some(spec) }
}

/// Changes the provider among these resources.
pub(crate) fn adjust(
    mut resources: Vec<v1::Resource>,
    change: impl Fn(&mut v1::Provider),
) -> Vec<v1::Resource> {
    for resource in &mut resources {
        if let Some(v1::resource::Spec::Provider(provider)) = &mut resource.spec {
            change(provider);
        }
    }
    resources
}

impl Router {
    /// Waits until the numbers look like this, and returns them.
    pub(crate) async fn until(&self, wanted: impl Fn(&str) -> bool) -> String {
        let waiting = async {
            loop {
                let text = self.get("/metrics").await.text();
                if wanted(&text) {
                    return text;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("the numbers change")
    }
}

impl Router {
    /// Every usage record so far, once nothing is under way any more.
    pub(crate) async fn records(&self) -> Vec<v1::Usage> {
        self.until(|text| text.contains("bitrouter_requests_in_flight 0\n")).await;
        let (ledger, tasks) = (planes::Ledger::default(), TaskTracker::new());
        let channel = planes::serve(&ledger, &planes::Discovery::default(), &tasks);
        let (spool, stop) = (self.handle.spool().clone(), CancellationToken::new());
        tasks.spawn(report(spool.clone(), channel, Entropy::seeded(1), stop.clone()));
        let told = tokio::time::timeout(Duration::from_secs(10), spool.acknowledged()).await;
        assert!(told.is_ok(), "the records are reported");
        stop.cancel();
        ledger.lock().usages.drain(..).collect()
    }
}
