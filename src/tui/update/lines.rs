//! What the agent tells.

use crate::{
    client::{Kind, Line, shown, text::visible},
    tui::{
        effect::Cmd,
        model::{Mine, Model, MyWatcher},
    },
};

/// Takes a line.
pub(super) fn take(model: &mut Model, line: &Line) -> Option<Cmd> {
    match line.kind {
        Kind::Buddies => {
            model.people.replace(line.buddies.clone());
            model.rows_changed();
        }
        Kind::Publication => publication(model, line),
        Kind::Watcher => return watcher(model, line),
        Kind::Ready => model.ready = true,
        Kind::Error => {
            let about = line.presentity.as_deref().map(|about| format!("{}: ", shown::address(about)));
            let message = visible(line.message.as_deref().unwrap_or("the agent tells of an error"));
            model.complain(format!("{}{message}", about.unwrap_or_default()));
        }
        // The connection ends behind it, and that is told.
        Kind::End => {}
        _ => return state(model, line),
    }
    None
}

fn state(model: &mut Model, line: &Line) -> Option<Cmd> {
    let turn = model.people.take(line);
    model.states_changed();
    let turn = turn?;
    let marked = model.people.list.get(turn.person).filter(|person| person.buddy.mark && turn.arrived);
    let rings = marked.filter(|_| model.ready).map(|person| person.name.clone());
    if !turn.first {
        model.remember(turn);
    }
    let words = format!("{} is available", rings?);
    model.say(words.clone());
    Some(Cmd::Ring(words))
}

fn publication(model: &mut Model, line: &Line) {
    let mine = Mine { account: line.account.clone(), line: line.clone() };
    match model.me.iter_mut().find(|own| own.account == mine.account) {
        Some(own) => *own = mine,
        None if mine.account.is_some() && mine.account == model.account => model.me.insert(0, mine),
        None => model.me.push(mine),
    }
}

fn watcher(model: &mut Model, line: &Line) -> Option<Cmd> {
    let info = line.watcher.clone()?;
    let same = |own: &MyWatcher| own.account == line.account && own.info.who == info.who && own.info.via == info.via;
    let place = model.watchers.iter().position(same);
    if info.state == "terminated" {
        place.map(|place| model.watchers.remove(place));
        return None;
    }
    let watcher = MyWatcher { account: line.account.clone(), info };
    let new = watcher.waits() && place.is_none_or(|place| !model.watchers[place].waits());
    let words = format!("{} wants to see you", shown::watcher(&watcher.info));
    match place {
        Some(place) => model.watchers[place] = watcher,
        None => model.watchers.push(watcher),
    }
    if new && model.ready {
        model.say(words);
    }
    None
}
