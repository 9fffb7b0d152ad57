//! Whether everybody's numbers are the same: the records, the sums over them, and the providers.

use std::collections::BTreeSet;

use bitrouter_control_plane::api::types::{RequestRow, UsageBy, UsageTotals};
use bitrouter_testkit::{Bill, FakeProvider, Planes};

/// What the providers charge, in micro-USD a token.
const INPUT_PRICE: u64 = 1;
const OUTPUT_PRICE: u64 = 10;

/// Waits until every record is stored, and gives them once they have been found to be one for each
/// request and worth what the providers ask for.
pub(crate) async fn balanced(
    planes: &Planes,
    providers: &[&FakeProvider],
    requests: usize,
) -> Vec<RequestRow> {
    planes.settled().await;
    let records = planes.records().await;
    assert_eq!(records.len(), requests, "one record for each request");
    let ids: BTreeSet<&str> = records.iter().map(|record| record.id.as_str()).collect();
    assert_eq!(ids.len(), requests, "no record twice");
    let bill = bill(providers);
    let owed = bill.input * INPUT_PRICE + bill.output * OUTPUT_PRICE;
    let recorded = records.iter().fold(Sums::default(), Sums::with);
    let expected = Sums {
        input: bill.input,
        output: bill.output,
        cost: i64::try_from(owed).unwrap(),
        ..recorded
    };
    assert_eq!(recorded, expected, "what the providers ask for is what was recorded");
    for by in [UsageBy::Model, UsageBy::Key, UsageBy::User, UsageBy::Provider, UsageBy::Day] {
        let report = planes.usage(by).await;
        assert_eq!(Sums::of(&report.total), recorded, "the total by {by:?}");
        let rows = report.rows.iter().fold(Sums::default(), |sums, row| sums.plus(&row.totals));
        assert_eq!(rows, recorded, "the rows by {by:?}");
    }
    records
}

fn bill(providers: &[&FakeProvider]) -> Bill {
    providers.iter().map(|provider| provider.bill()).fold(Bill::default(), |sum, bill| Bill {
        answers: sum.answers + bill.answers,
        input: sum.input + bill.input,
        output: sum.output + bill.output,
    })
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Sums {
    requests: u64,
    input: u64,
    output: u64,
    cost: i64,
}

impl Sums {
    fn with(self, record: &RequestRow) -> Self {
        self.plus(&UsageTotals {
            requests: 1,
            tokens: record.tokens,
            cost_micros: record.cost_micros,
            ..UsageTotals::default()
        })
    }

    fn of(totals: &UsageTotals) -> Self {
        Self::default().plus(totals)
    }

    fn plus(self, totals: &UsageTotals) -> Self {
        let tokens = totals.tokens;
        Self {
            requests: self.requests + totals.requests,
            input: self.input + tokens.input_uncached + tokens.cache_read + tokens.cache_write_5m,
            output: self.output + tokens.output + tokens.reasoning,
            cost: self.cost + totals.cost_micros.get(),
        }
    }
}
