//! openleadr-rs' VTN on 127.0.0.1 and the port of $PORT; the rest of its environment is its own.

use openleadr_vtn::data_source::{Migrate, PostgresStorage};
use openleadr_vtn::{VtnConfig, state::AppState};

#[tokio::main]
async fn main() {
    let config = VtnConfig::from_env();
    let storage = PostgresStorage::from_env().await.expect("the database");
    storage.migrate().await.expect("the tables");
    let router = AppState::new(storage, &config).await.into_router();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", config.port))
        .await
        .expect("the port");
    axum::serve(listener, router).await.expect("the server");
}
