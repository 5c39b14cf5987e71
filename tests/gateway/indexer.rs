//! Dynamo's standalone indexer as its crate has it, listening on this machine only: Dynamo's own program
//! listens on all addresses. usage: dynamo_indexer PORT

use dynamo_kv_router::services::indexer::server::{create_router, AppState};
use std::sync::Arc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let port: u16 = std::env::args().nth(1).unwrap_or_default().parse()?;
    let state = Arc::new(AppState::new(1)?);
    state.registry.signal_ready();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    axum::serve(listener, create_router(state)).await?;
    Ok(())
}
