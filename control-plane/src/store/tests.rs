//! What the store promises, tried on both databases.
//!
//! `SQLite` always; `PostgreSQL` at `TEST_POSTGRES_URL`, else on a throw-away server, else skipped.

mod access;
mod backend;
mod config;
mod ingest;
mod moving;
mod opening;
mod speed;
mod usage;

use backend::Backend;

/// Runs each case with an empty store of its own.
macro_rules! conformance {
    ($backend:expr, $($case:path),+ $(,)?) => {
        $(
            println!("{}: {}", $backend.name(), stringify!($case));
            let fixture = $backend.empty_store().await;
            $case(fixture.store.clone()).await;
            fixture.store.close().await;
        )+
    };
}

async fn conforms(backend: Backend) {
    conformance!(
        backend,
        config::a_batch_is_one_revision_and_one_audit_row_each,
        config::what_changes_nothing_makes_no_revision,
        config::a_stale_writer_is_refused,
        config::a_batch_is_all_or_nothing,
        config::owners_do_not_take_from_each_other,
        config::of_two_writers_one_wins,
        config::changes_are_told_until_they_are_forgotten,
        config::what_is_ensured_is_made_once_and_never_changed,
        config::resources_are_read_back_and_paged,
        config::an_overlay_is_remembered_and_audited_in_one_row,
        access::secrets_are_sealed_and_come_back,
        access::the_digest_key_is_made_once,
        access::the_audit_shows_tampering,
        access::the_audit_shows_no_secrets,
        access::a_repeated_post_is_answered_as_before,
        access::admin_tokens_are_found_by_digest_until_revoked,
        ingest::a_repeated_batch_changes_nothing,
        ingest::a_gap_waits_for_the_resend,
        ingest::an_overlap_stores_only_what_is_new,
        ingest::a_contradiction_quarantines_the_log,
        ingest::an_entry_that_is_not_understood_is_kept,
        ingest::a_record_counts_once_whatever_log_brings_it,
        ingest::a_hello_starts_a_session,
        ingest::absurd_records_do_not_stop_a_log,
        ingest::a_hundred_parallel_batches_are_all_stored_once,
        usage::requests_are_filtered_and_paged,
        usage::usage_is_grouped,
        usage::sums_outlive_requests,
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_conforms() {
    conforms(Backend::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_conforms_and_backups_move_between_databases() {
    let Some(postgres) = Backend::postgres() else { return };
    moving::a_backup_moves_everything(&Backend::sqlite(), &postgres).await;
    moving::a_backup_moves_everything(&postgres, &Backend::sqlite()).await;
    conforms(postgres).await;
}

#[tokio::test]
async fn a_backup_moves_to_a_new_file() {
    moving::a_backup_moves_everything(&Backend::sqlite(), &Backend::sqlite()).await;
}
