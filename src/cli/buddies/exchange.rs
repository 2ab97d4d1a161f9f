//! `buddies import` and `export`: the list from other programs, and for them.

use std::{
    fs,
    io::{self, Read, Write as _},
    path::Path,
};

use crate::{
    cli::{
        Context, Exit, Failed,
        args::{Export, Import},
        output,
    },
    client::{Buddies, Buddy, text},
    config::{
        buddies::{self, edit},
        exchange::{self, Format, Imported, Merged},
    },
};

/// How many of many things that are amiss are told.
pub(super) const TOLD: usize = 20;

/// Takes people from a file onto the list; nothing that is there is overwritten.
pub(super) async fn import(context: &Context, args: &Import, dry_run: bool) -> Result<Exit, Failed> {
    let usage = |message: String| Failed::new(Exit::Usage, message);
    let shown = text::visible(&args.file.display().to_string());
    let bytes = read(&args.file).map_err(|error| usage(format!("cannot read {shown}: {error}")))?;
    let format = match args.from {
        Some(format) => format,
        None => Format::of_name(&args.file).or_else(|| Format::of_text(&bytes)).ok_or_else(|| {
            usage(format!("cannot tell what {shown} is"))
                .with_hint("name it: --from baresip, vcard, csv, xml, json or pjsua")
        })?,
    };
    let imported = exchange::read(&bytes, format).map_err(|error| usage(format!("{shown}: {error}")))?;
    let nothing = imported.buddies.is_empty() && !imported.broken.is_empty();
    match take(context, imported, &shown, dry_run).await? {
        Exit::Partly if nothing => Err(usage(format!("{shown}: nobody in it could be read"))),
        exit => Ok(exit),
    }
}

/// Puts those who were read onto the list, and says what could not be read or is another; `shown` is where they are from.
pub(super) async fn take(context: &Context, imported: Imported, shown: &str, dry_run: bool) -> Result<Exit, Failed> {
    let broken = imported.broken.len();
    for line in imported.broken.iter().take(TOLD) {
        context.output.tell(&format!("{shown}: {line}"));
    }
    if broken > TOLD {
        context.output.tell(&format!("{shown}: and {} more that cannot be read", broken - TOLD));
    }
    for (what, count) in &imported.ignored {
        context.output.tell(&format!("left out: {count} {what}"));
    }
    let put = |draft: &mut buddies::Draft| Ok::<_, Failed>(exchange::merge(draft, imported.buddies));
    let (_, merged) = edit(&context.paths.buddies_file, !dry_run, put)?;
    if let Err(closed) = tell(context, &merged, dry_run) {
        return Ok(closed.into());
    }
    let is_other = !merged.added.is_empty() || !merged.changed.is_empty();
    if is_other && !dry_run {
        super::tell_agent(context).await;
    }
    Ok(if broken == 0 { Exit::Done } else { Exit::Partly })
}

/// Says what became of the list; before it is changed, name by name.
fn tell(context: &Context, merged: &Merged, dry_run: bool) -> Result<(), output::Closed> {
    for taken in merged.taken.iter().take(TOLD) {
        let what = match &taken.instead {
            Some(instead) => format!("{:?} means somebody else already: {} is {instead:?}", taken.word, taken.address),
            None => format!("{:?} means somebody else already and is left out for {}", taken.word, taken.address),
        };
        context.output.tell(&text::visible(&what));
    }
    if dry_run {
        let mut lines: Vec<String> = merged.added.iter().map(|buddy| format!("+ {}", line(buddy))).collect();
        lines.extend(merged.changed.iter().map(|(_, after)| format!("~ {}", line(after))));
        if !lines.is_empty() {
            output::print_bytes((lines.join("\n") + "\n").as_bytes())?;
        }
    }
    let (added, changed, same) = (merged.added.len(), merged.changed.len(), merged.same);
    let would = if dry_run { "would be: " } else { "" };
    context.output.tell(&format!("{would}{added} added, {changed} changed, {same} as they were"));
    Ok(())
}

fn line(buddy: &Buddy) -> String {
    let groups = if buddy.groups.is_empty() { String::new() } else { format!(" @{}", buddy.groups.join(" @")) };
    let also = if buddy.aliases.is_empty() { String::new() } else { format!(" (also {})", buddy.aliases.join(", ")) };
    text::visible(&format!("{buddy} {}{groups}{also}", buddy.address))
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = exchange::MAX_BYTES as u64 + 1;
    if file == Path::new("-") {
        io::stdin().take(most).read_to_end(&mut bytes)?;
    } else {
        fs::File::open(file)?.take(most).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// Writes the list, or a group of it, as another program reads it.
pub(super) fn export(context: &Context, args: &Export) -> Result<Exit, Failed> {
    let usage = |message: String| Failed::new(Exit::Usage, message);
    let mut list = buddies::load(&context.paths.buddies_file)?;
    if let Some(group) = &args.group {
        list = Buddies(super::members(&list, group)?.into_iter().cloned().collect());
    }
    let file = args.file.as_deref().filter(|file| *file != Path::new("-"));
    let format = match (args.to, file) {
        (Some(format), _) => format,
        (None, None) => Format::Json,
        (None, Some(file)) => Format::of_name(file).ok_or_else(|| {
            usage("cannot tell in which format".to_owned()).with_hint("name it: --to baresip, vcard, csv, xml or json")
        })?,
    };
    let Some(written) = exchange::write(&list, format) else {
        let message = format!("{format} is only read");
        return Err(usage(message).with_hint("there are baresip, vcard, csv, xml and json"));
    };
    let Some(file) = file else {
        return Ok(output::print_bytes(written.as_bytes()).map_or_else(Into::into, |()| Exit::Done));
    };
    let count = if list.0.len() == 1 { "1 buddy".to_owned() } else { format!("{} buddies", list.0.len()) };
    write_new(context, file, &written, &count, "`sippresence buddies export --to … >FILE` replaces it")
}

/// Writes a file that is not there yet, and says what is in it; `hint` is the way out where it is there.
pub(in crate::cli) fn write_new(
    context: &Context,
    file: &Path,
    written: &str,
    what: &str,
    hint: &str,
) -> Result<Exit, Failed> {
    let shown = text::visible(&file.display().to_string());
    let made = fs::File::create_new(file).and_then(|mut made| made.write_all(written.as_bytes()));
    match made {
        Ok(()) => {
            context.output.tell(&format!("{what} in {shown}"));
            Ok(Exit::Done)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(Failed::new(Exit::Conflict, format!("{shown} is there already")).with_hint(hint))
        }
        Err(error) => Err(Failed::new(Exit::Usage, format!("cannot write {shown}: {error}"))),
    }
}
