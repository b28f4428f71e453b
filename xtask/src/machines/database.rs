//! The database of the proofs: a cluster of its own in a temporary folder, or the one that the environment names.

use std::{
    fs,
    net::TcpListener,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::{
    process::{Running, finished},
    wait::until,
};
use crate::run::{Result, output};

/// How long the server may take to start or to stop.
const LIMIT: Duration = Duration::from_secs(60);
/// How long one statement may take.
const STATEMENT: Duration = Duration::from_secs(120);

/// A server, or only its address.
#[derive(Debug)]
pub(crate) struct Database {
    /// Without the name of a database: `postgres://postgres@127.0.0.1:5432/`.
    base: String,
    /// The database that is always there.
    first: String,
    psql: PathBuf,
    folder: PathBuf,
    cluster: Option<Cluster>,
}

/// A server that was started here.
#[derive(Debug)]
struct Cluster {
    folder: PathBuf,
    programs: PathBuf,
    port: u16,
    owner: Option<(u32, u32)>,
    server: Option<Running>,
}

impl Database {
    /// A cluster of its own. `None`, and a line about it, where there are no programs for it.
    pub(crate) fn own(folder: &Path) -> Result<Option<Self>> {
        let Some(programs) = programs() else {
            println!("no cluster of its own: initdb, postgres and psql are not here");
            return Ok(None);
        };
        let psql = programs.join("psql");
        let cluster = Cluster::make(folder, programs)?;
        let base = format!("postgres://postgres@127.0.0.1:{}/", cluster.port);
        let first = String::from("postgres");
        let mut database = Self { base, first, psql, folder: folder.to_owned(), cluster: Some(cluster) };
        database.start()?;
        Ok(Some(database))
    }

    /// The server that the environment names.
    pub(crate) fn named(address: &str, folder: &Path) -> Result<Self> {
        let rest = address.strip_prefix("postgres://").or_else(|| address.strip_prefix("postgresql://"));
        let (server, first) = rest
            .and_then(|rest| rest.split_once('/'))
            .ok_or("OUTBOUND_TEST_POSTGRES is not postgres://USER@HOST:PORT/DATABASE")?;
        let psql = programs().map_or_else(|| PathBuf::from("psql"), |programs| programs.join("psql"));
        let base = format!("postgres://{server}/");
        Ok(Self { base, first: first.to_owned(), psql, folder: folder.to_owned(), cluster: None })
    }

    /// Whether the server can be stopped and reconfigured.
    pub(crate) fn is_own(&self) -> bool {
        self.cluster.is_some()
    }

    /// The socket file of a cluster of its own: it can be reached from any network namespace.
    pub(crate) fn socket(&self) -> Option<PathBuf> {
        self.cluster.as_ref().map(|cluster| cluster.folder.join(format!(".s.PGSQL.{}", cluster.port)))
    }

    /// Host and port.
    pub(crate) fn server(&self) -> &str {
        let server = self.base.trim_start_matches("postgres://").trim_end_matches('/');
        server.rsplit_once('@').map_or(server, |(_, server)| server)
    }

    pub(crate) fn address(&self, name: &str) -> String {
        format!("{}{name}", self.base)
    }

    /// The address of a proxy in front of the server.
    pub(crate) fn address_through(&self, server: &str, name: &str) -> String {
        self.address(name).replace(self.server(), server)
    }

    /// An empty database of this name.
    pub(crate) fn create(&self, name: &str) -> Result<String> {
        let first = self.first.clone();
        self.ask(&first, &format!("drop database if exists {name} with (force)"))?;
        self.ask(&first, &format!("create database {name}"))?;
        Ok(self.address(name))
    }

    pub(crate) fn remove(&self, name: &str) {
        let first = self.first.clone();
        let _ = self.ask(&first, &format!("drop database if exists {name} with (force)"));
    }

    /// The rows that a statement gives, fields with `|` between them.
    pub(crate) fn ask(&self, name: &str, statement: &str) -> Result<String> {
        let mut command = Command::new(&self.psql);
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", &self.address(name), "-c"]);
        command
            .arg(statement)
            .env("PGCONNECT_TIMEOUT", "10")
            .env("PGOPTIONS", "-c client_min_messages=error");
        let printed = finished("psql", command, &self.folder, STATEMENT)
            .map_err(|error| format!("{statement}: {error}"))?;
        Ok(printed.trim().to_owned())
    }

    /// Starts the server of a cluster of its own, and returns when it answers.
    pub(crate) fn start(&mut self) -> Result {
        let cluster = self.cluster.as_mut().ok_or("the database is not one of its own")?;
        cluster.start()?;
        let answers = || Ok(self.ask(&self.first, "select 1").ok());
        until("the database answers", LIMIT, answers).map(drop)
    }

    /// Ends the server at once, as a crash does: nothing is written any more.
    pub(crate) fn crash(&mut self) -> Result {
        self.cluster.as_mut().ok_or("the database is not one of its own")?.stop("QUIT")
    }
}

impl Cluster {
    fn make(folder: &Path, programs: PathBuf) -> Result<Self> {
        let owner = owner()?;
        let data = folder.join("database");
        fs::create_dir(&data)?;
        if let Some((user, group)) = owner {
            std::os::unix::fs::chown(&data, Some(user), Some(group))?;
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let cluster = Self { folder: data, programs, port, owner, server: None };
        let mut command = cluster.program("initdb");
        command
            .args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-locale", "-D"])
            .arg(&cluster.folder);
        finished("initdb", command, folder, LIMIT)?;
        Ok(cluster)
    }

    fn start(&mut self) -> Result {
        let mut command = self.program("postgres");
        command.arg("-D").arg(&self.folder).args(["-p", &self.port.to_string()]).arg("-k").arg(&self.folder);
        for setting in ["listen_addresses=127.0.0.1", "track_functions=pl", "max_connections=200"] {
            command.args(["-c", setting]);
        }
        let logs = self.folder.parent().unwrap_or(&self.folder);
        self.server = Some(Running::start("postgres", command, logs)?);
        Ok(())
    }

    fn stop(&mut self, signal: &str) -> Result {
        if let Some(mut server) = self.server.take() {
            server.signal(signal)?;
            server.wait(LIMIT)?;
        }
        Ok(())
    }

    /// As the owner of the files: the server refuses to run as root.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.current_dir(&self.folder);
        if let Some((user, group)) = self.owner {
            command.uid(user).gid(group);
        }
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Fast, and then by force where that is not enough.
        let _ = self.stop("INT");
    }
}

/// The folder with all the programs that are needed.
fn programs() -> Option<PathBuf> {
    let asked = output("pg_config", &["--bindir"]).ok().map(|folder| PathBuf::from(folder.trim()));
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let has_all = |folder: &PathBuf| {
        ["initdb", "postgres", "psql"].iter().all(|program| folder.join(program).is_file())
    };
    asked.into_iter().chain(std::env::split_paths(&paths)).find(has_all)
}

/// The user and the group that own the files, where this process is root: those of `postgres`.
fn owner() -> Result<Option<(u32, u32)>> {
    if output("id", &["-u"])?.trim() != "0" {
        return Ok(None);
    }
    let number = |option| -> Result<u32> { Ok(output("id", &[option, "postgres"])?.trim().parse()?) };
    Ok(Some((number("-u")?, number("-g")?)))
}
