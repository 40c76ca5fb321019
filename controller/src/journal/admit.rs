//! Join tokens and the agents that they let in.

use nepho_common::{
    id::{AgentId, Digest, EnvironmentName},
    time::WallMillis,
};
use sqlx::SqliteConnection;

use super::{
    error::StoreError,
    row::{self, Admission, Admitted, AgentRow, Grant, NewToken, TokenRefusal, TokenUse},
    sql,
    writer::failed,
};

/// For so long the key that used a token may ask again: the reply may have been lost, and the
/// agent tries again with the key that it wrote down first.
const AGAIN_MS: i64 = 10 * 60 * 1000;

/// What `<environment>` may take of a generated name, so that `-<n>` fits into 63.
const STEM: usize = 48;

pub(super) async fn put_token(
    connection: &mut SqliteConnection,
    token: NewToken,
) -> Result<(), StoreError> {
    sqlx::query(sql::TOKEN_INSERT)
        .bind(token.secret.bytes().as_slice())
        .bind(token.environment.as_str())
        .bind(token.agent.as_ref().map(AgentId::as_str))
        .bind(token.expires.0)
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(())
}

pub(super) async fn use_token(
    connection: &mut SqliteConnection,
    secret: Digest,
    key: Digest,
    now: WallMillis,
) -> Result<TokenUse, StoreError> {
    let won = sqlx::query(sql::TOKEN_USE)
        .bind(secret.bytes().as_slice())
        .bind(now.0)
        .bind(key.bytes().as_slice())
        .execute(&mut *connection)
        .await
        .map_err(failed)?
        .rows_affected()
        == 1;
    let row = sqlx::query(sql::TOKEN)
        .bind(secret.bytes().as_slice())
        .fetch_optional(connection)
        .await
        .map_err(failed)?;
    let Some(row) = row else {
        return Ok(TokenUse::Refused(TokenRefusal::Unknown));
    };
    let token = row::token(&row)?;
    let again = !won && token.used_by == Some(key);
    let refusal = match token.used {
        _ if won => None,
        None => Some(TokenRefusal::Expired),
        Some(used) if again && now.0.saturating_sub(used.0) <= AGAIN_MS => None,
        Some(_) => Some(TokenRefusal::Used),
    };
    Ok(match refusal {
        Some(why) => TokenUse::Refused(why),
        None => TokenUse::Granted(Grant {
            environment: token.environment,
            agent: token.agent,
            again,
        }),
    })
}

pub(super) async fn admit(
    connection: &mut SqliteConnection,
    admission: Admission,
) -> Result<Admitted, StoreError> {
    let (agent, replaced) = match admission.agent {
        Some(agent) => {
            let there = stored(connection, &agent).await?;
            (agent, there)
        }
        None => match known_key(connection, &admission).await? {
            Some(row) => (row.agent.clone(), Some(row)),
            None => (free_name(connection, &admission.environment).await?, None),
        },
    };
    if replaced.as_ref().is_some_and(|row| row.revoked.is_some()) {
        return Ok(Admitted::Revoked(agent));
    }
    let row = AgentRow {
        agent,
        environment: admission.environment,
        serial: admission.serial,
        key: admission.key,
        not_after: admission.not_after,
        enrolled: admission.now,
        revoked: None,
        next: None,
    };
    put_agent(connection, &row).await?;
    Ok(Admitted::Stored {
        agent: Box::new(row),
        replaced: replaced.map(Box::new),
    })
}

pub(super) async fn put_agent(
    connection: &mut SqliteConnection,
    agent: &AgentRow,
) -> Result<(), StoreError> {
    sqlx::query(sql::AGENT_PUT)
        .bind(agent.agent.as_str())
        .bind(agent.environment.as_str())
        .bind(agent.serial.as_str())
        .bind(agent.key.bytes().as_slice())
        .bind(agent.not_after.0)
        .bind(agent.enrolled.0)
        .bind(agent.revoked.map(|at| at.0))
        .bind(agent.next.as_ref().map(|next| next.serial.as_str()))
        .bind(agent.next.as_ref().map(|next| next.key.bytes().as_slice()))
        .bind(agent.next.as_ref().map(|next| next.not_after.0))
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(())
}

pub(super) async fn revoke(
    connection: &mut SqliteConnection,
    agent: &AgentId,
    now: WallMillis,
) -> Result<bool, StoreError> {
    let done = sqlx::query(sql::AGENT_REVOKE)
        .bind(agent.as_str())
        .bind(now.0)
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn stored(
    connection: &mut SqliteConnection,
    agent: &AgentId,
) -> Result<Option<AgentRow>, StoreError> {
    sqlx::query(sql::AGENT)
        .bind(agent.as_str())
        .fetch_optional(connection)
        .await
        .map_err(failed)?
        .as_ref()
        .map(row::agent)
        .transpose()
}

async fn known_key(
    connection: &mut SqliteConnection,
    admission: &Admission,
) -> Result<Option<AgentRow>, StoreError> {
    sqlx::query(sql::AGENT_OF_KEY)
        .bind(admission.key.bytes().as_slice())
        .bind(admission.environment.as_str())
        .fetch_optional(connection)
        .await
        .map_err(failed)?
        .as_ref()
        .map(row::agent)
        .transpose()
}

/// The first free `<environment>-<n>`. A look-up for each name that is taken: fleets have tens of
/// agents in an environment, and each is named once.
async fn free_name(
    connection: &mut SqliteConnection,
    environment: &EnvironmentName,
) -> Result<AgentId, StoreError> {
    let stem: String = environment.as_str().chars().take(STEM).collect();
    for n in 1_u64.. {
        let name: AgentId = format!("{stem}-{n}")
            .parse()
            .expect("a short name, a dash and a number are a name");
        if stored(connection, &name).await?.is_none() {
            return Ok(name);
        }
    }
    unreachable!("fewer agents than numbers")
}
