//! `outbound run --store`: works on a batch in a database.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use outbound::work::{Counts, WorkStore};
use outbound_postgres::{Order, PostgresBatch, PostgresQuota, PostgresWork};
use tokio::time::sleep;

use super::{
    budget::Budget,
    claims::Claims,
    export::{self, Found, all},
    feed::Feed,
    keep,
    load::Load,
    log::Log,
    store::{self, Reach, Stores, failed},
    team::Team,
    work::{Drive, Ended, Task},
};
use crate::{
    args::{Concurrency, Run},
    control::{Controlled, Limits},
    exit::{ALL_SUCCEEDED, RESUMABLE, SOME_FAILED, Stop},
    input::Reading,
    interrupt::Interrupt,
    output::Earlier,
    plan::read_prices,
    progress::{How, Progress},
    run::{Target, end, failed_list, go_on, survey},
    same_file::is_same_file,
    say,
    summary::{Summary, Whole},
    watch::Watch,
};

/// How many requests may be in flight where no number is given, and while the best one is not found yet.
const USUAL_WIDTH: usize = 64;

/// The shortest lease: a shorter one would end while the database takes a breath.
const SHORTEST: Duration = Duration::from_secs(1);

/// A run that can take its first line.
struct Ready {
    name: String,
    reading: Arc<Reading>,
    target: Target,
    work: Arc<PostgresWork>,
    batch: PostgresBatch,
    quota: PostgresQuota,
    reach: Arc<Reach>,
}

pub(crate) async fn run(arguments: &Run, interrupt: &Interrupt) -> Result<u8, Stop> {
    let (address, name) = check(arguments)?;
    let output = arguments.output.as_deref();
    let used: Vec<PathBuf> =
        output.map(|path| [path.to_owned(), failed_list(path)]).into_iter().flatten().collect();
    let used: Vec<&Path> = used.iter().map(PathBuf::as_path).chain([arguments.input.as_path()]).collect();
    arguments.reporting.check(&used)?;
    if let Some(path) = output {
        Found::look(path)?;
    }
    let (provider, base_url) = (arguments.provider, arguments.base_url.as_deref());
    let reading = Reading::new(&arguments.input, &arguments.forms, arguments.part, provider, base_url);
    let reading = interrupt.ends(reading).await?;
    let job = interrupt.ends(survey(&reading, &Earlier::default())).await?;
    let job = job.ok_or_else(|| {
        let why = "--store needs a file as its input, since the input is checked before it is put into the database";
        Stop::Usage(String::from(why))
    })?;
    let target = Target::of(arguments, Some(&job)).await?;
    let Stores { work, batch, quota } = interrupt.ends(store::open(address, name)).await?;
    let reach = Arc::new(Reach::default());
    if arguments.retry_failed {
        let again = async { work.retry_failed().await.map_err(|error| failed(&error)) };
        interrupt.ends(again).await?;
    }
    if let Some(dollars) = arguments.sending.budget {
        let limits = Limits { budget: Some(dollars), ..Limits::default() };
        let order = Order::Limits(serde_json::to_string(&limits).unwrap_or_default());
        let told = async { batch.order(&order).await.map_err(|error| failed(&error)) };
        interrupt.ends(told).await?;
    }
    let load = Load { reading: &reading, input: job.input, work: &work, batch: &batch, reach: &reach };
    interrupt.ends(load.all()).await?;
    let counts = async { work.counts().await.map_err(|error| failed(&error)) };
    let counts = interrupt.ends(counts).await?;
    let name = name.to_owned();
    let ready = Ready { name, reading, target, work: Arc::new(work), batch, quota, reach };
    if is_done(&counts) && counts.done + counts.exported > 0 {
        if !arguments.quiet {
            let hint = if counts.failed > 0 {
                ". Some of them failed: --retry-failed sends those again"
            } else {
                ""
            };
            let (done, name) = (counts.done + counts.exported, &ready.name);
            say::line(format_args!(
                "nothing to send: all {done} lines of the batch {name} have their answer{hint}"
            ));
        }
        ready.write_output(arguments).await?;
        return Ok(if counts.failed > 0 { SOME_FAILED } else { ALL_SUCCEEDED });
    }
    ready.send(arguments, interrupt).await
}

impl Ready {
    /// Works until the batch is done or the run ends, and says at the end what became of it.
    async fn send(self, arguments: &Run, interrupt: &Interrupt) -> Result<u8, Stop> {
        let Self { name, reading, target, work, batch, quota, reach } = self;
        let watch = Watch::new(arguments.reporting.html.is_some());
        let claims = Claims::default();
        let prices = arguments.prices.as_deref().map(read_prices).transpose()?;
        let (log, recording) = Log::start(Arc::clone(&work), &claims, &reach);
        let _recording = Task(recording);
        let builder =
            target.builder.observer(watch.clone()).send_log(log).seed(work.seed()).quota_store(quota);
        let manager = builder.build().map_err(|error| Stop::Usage(error.to_string()))?;
        let controlled = Controlled {
            manager: manager.clone(),
            watch: watch.clone(),
            interrupt: interrupt.clone(),
            of: None,
        };
        let budget = Arc::new(Budget::new(&manager, &claims, prices));
        let joined = Team::join(batch, controlled, &budget, &reach);
        let team = interrupt.ends(joined).await?;
        let mut summary = Summary::new(&watch);
        summary.output = format!("the batch {}", name);
        let how = How::of(arguments, Path::new(""));
        let progress = Progress::start(&manager, &watch, interrupt, None, how);
        let keeping = Task(keep::start(Arc::clone(&work), &claims, arguments.several.lease));
        let refused = Arc::default();
        let is_done = Arc::new(AtomicBool::new(false));
        let feed = Feed {
            store: Arc::clone(&work),
            claims: claims.clone(),
            reach: Arc::clone(&reach),
            lease: arguments.several.lease,
            most: {
                let (watch, width) = (watch.clone(), width(arguments, target.keys.len()));
                // What waits for its turn is as much as what is in flight, so that no place stays empty.
                move || 2 * watch.read(|counts| counts.limits.places).unwrap_or(width)
            },
            base_path: target.base_path.clone(),
            refused: Arc::clone(&refused),
            budget: Arc::clone(&budget),
            provider: arguments.provider,
            is_done: Arc::clone(&is_done),
        };
        let drive = Drive {
            store: &work,
            claims: &claims,
            reach: &reach,
            manager: &manager,
            interrupt,
            keys: &target.keys,
            refused: &refused,
        };
        let Ended { stopped, wrong, late } = drive.run(feed, |outcome| summary.add(outcome)).await;
        drop(keeping);
        let wrong = wrong.map_or(Ok(()), Err);
        manager.shutdown(Duration::ZERO).await;
        progress.finish();
        summary.ended(&manager, interrupt, stopped, wrong.as_ref().err());
        let (others, was_shared) = (team.others(), team.had_others());
        team.leave().await;
        let counts = tokio::select! {
            counts = work.counts() => counts.ok(),
            () = interrupt.clone().times(2) => None,
        };
        let is_done = is_done.load(Ordering::Relaxed);
        let has_failures = counts.map_or(summary.failed > 0, |counts| counts.failed > 0);
        summary.batch = Some(Whole {
            name: name.clone(),
            requests: counts.as_ref().map(all),
            done: counts.map(|counts| (counts.done + counts.exported) as u64),
            failed: counts.map(|counts| counts.failed as u64),
            other_machines: others,
            was_shared,
            late,
        });
        let code = match end::code(&summary, interrupt.asked(), has_failures) {
            ALL_SUCCEEDED if !is_done => RESUMABLE,
            code => code,
        };
        if end::can_go_on(code, wrong.as_ref().err()) {
            summary.go_on = Some(go_on(end::retries_failed(code, has_failures)));
        }
        drop(manager);
        summary.tell(&arguments.reporting, arguments.quiet);
        wrong?;
        if is_done {
            write_output(&work, &reading, arguments).await?;
        } else if let (Some(path), false) = (&arguments.output, arguments.quiet) {
            let path = path.display();
            say::line(format_args!(
                "{path} is not written, since the batch is not done; `outbound export` writes the answers that are there"
            ));
        }
        Ok(code)
    }

    async fn write_output(&self, arguments: &Run) -> Result<(), Stop> {
        write_output(&self.work, &self.reading, arguments).await
    }
}

/// Writes the answers of the whole batch to the output, if there is to be one, and the lines that failed to their own file.
async fn write_output(work: &PostgresWork, reading: &Arc<Reading>, arguments: &Run) -> Result<(), Stop> {
    let Some(path) = &arguments.output else { return Ok(()) };
    let mut tries = 0;
    let written = loop {
        match export::write(work, path).await {
            // Another process of this machine may be writing the same answers to it at this moment.
            Err(Stop::Output(_)) if tries < TRIES => tries += 1,
            written => break written?,
        }
        sleep(TRY_AGAIN).await;
    };
    if !arguments.quiet {
        say::line(written.in_words());
    }
    // An earlier list may have lines that succeeded now.
    if written.failed > 0 || failed_list(path).exists() {
        end::list_failures(reading, path, arguments).await;
    }
    Ok(())
}

/// The time between two tries to write the answers, and the number of tries.
const TRY_AGAIN: Duration = Duration::from_millis(500);
const TRIES: usize = 20;

/// How many requests may be in flight before the manager has said it.
fn width(arguments: &Run, keys: usize) -> usize {
    let of_each = match arguments.concurrency {
        Some(Concurrency::Fixed(requests)) => requests,
        Some(Concurrency::Auto) | None => USUAL_WIDTH,
    };
    of_each.saturating_mul(keys.max(1))
}

fn is_done(counts: &Counts) -> bool {
    counts.ready + counts.ambiguous + counts.claimed == 0
}

/// The address and the name of the batch, if all options go together.
fn check(arguments: &Run) -> Result<(&str, &str), Stop> {
    let usage = |why: &str| Err(Stop::Usage(String::from(why)));
    let several = &arguments.several;
    let Some((address, name)) = several.store.as_deref().zip(several.name.as_deref()) else {
        return usage("--store needs a --name for the batch");
    };
    match () {
        () if arguments.simulate => usage(
            "--simulate has its provider inside this process, where other machines do not reach it: start `outbound sim`, and give \
             its address with --base-url",
        ),
        () if arguments.fresh => usage(
            "--fresh would send again what other machines have answered: give another --name to begin anew, or remove the batch \
             with `outbound export --remove`",
        ),
        () if arguments.output.as_deref() == Some(Path::new("-")) => usage(
            "-o -: the answers of all machines are written when the batch is done: name a file, or leave -o out and give \
             `outbound export -o -` afterwards",
        ),
        () if arguments.output.as_ref().is_some_and(|path| is_same_file(&arguments.input, path)) => {
            usage("--output is the input; name another file")
        }
        () if several.lease < SHORTEST => usage("--lease is too short: give a second or more"),
        () => Ok((address, name)),
    }
}
