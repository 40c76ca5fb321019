//! The loop: everything that happens, one thing after the other.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{self, ErrorKind},
    net::{TcpListener, TcpStream},
    num::NonZero,
    os::fd::OwnedFd,
    sync::Arc,
    time::Duration,
};

use rustix::{
    buffer::spare_capacity,
    event::{
        PollFd, PollFlags,
        epoll::{self, CreateFlags, EventData, EventFlags},
        poll,
    },
    io::Errno,
    time::Timespec,
};

use super::{
    answers::Answers,
    clock::{Alarm, Stamp},
    connection::{Connection, Fate, Owed},
    pace::Pace,
    stamps::{Place, Stamps},
};

const LISTENER: u64 = 0;
const STOP: u64 = 1;
const ALARM: u64 = 2;
/// Connections count on from here and never take a number again, so that what the kernel still has
/// to say of one that is over is about nobody.
const FIRST_CONNECTION: u64 = 3;
/// What is read of a peer at a time; with many peers, how long one can keep the others waiting.
const READ_BYTES: usize = 64 * 1024;
const MOST_EVENTS: usize = 256;

/// What all connections share.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) answers: Answers,
    pub(super) pace: Pace,
    pub(super) stamps: Option<Stamps>,
    /// A connection ends with every so manyth request.
    pub(super) close_every: Option<NonZero<u64>>,
    /// Answers that are not due, by the connection that they belong to. In the order of time.
    waiting: VecDeque<(Stamp, u64, Owed)>,
    /// When the very first request came.
    first: Option<Stamp>,
}

impl Desk {
    pub(super) fn new(
        answers: Answers,
        pace: Pace,
        stamps: Option<Stamps>,
        close_every: Option<NonZero<u64>>,
    ) -> Self {
        Self {
            answers,
            pace,
            stamps,
            close_every,
            waiting: VecDeque::new(),
            first: None,
        }
    }

    /// A request has come: where its stamps go, and when its answer is due.
    pub(super) fn came(&mut self, slot: Option<u64>, now: Stamp) -> (Place, Option<Stamp>) {
        self.first.get_or_insert(now);
        let place = self
            .stamps
            .as_mut()
            .and_then(|stamps| stamps.came(slot, now));
        (place, self.pace.due(now))
    }

    pub(super) fn is_last(&self, asked: u64) -> bool {
        self.close_every
            .is_some_and(|every| asked.is_multiple_of(every.get()))
    }

    pub(super) fn wait(&mut self, at: Stamp, connection: u64, owed: Owed) {
        self.waiting.push_back((at, connection, owed));
    }
}

/// One freeze of the whole thread.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stall {
    /// Counted from the first request.
    pub(super) after: Duration,
    pub(super) lasts: Duration,
}

#[derive(Debug)]
pub(super) struct Server {
    epoll: OwnedFd,
    listener: TcpListener,
    stop: Arc<OwnedFd>,
    alarm: Alarm,
    stall: Option<Stall>,
    connections: BTreeMap<u64, (Connection, EventFlags)>,
    next: u64,
    /// So many connections may be open; others are closed at once.
    room: usize,
    desk: Desk,
}

impl Server {
    /// Serves `listener`, which must not block, until `stop` is readable.
    pub(super) fn new(
        listener: TcpListener,
        stop: Arc<OwnedFd>,
        room: usize,
        stall: Option<Stall>,
        desk: Desk,
    ) -> io::Result<Self> {
        let server = Self {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            listener,
            stop,
            alarm: Alarm::new()?,
            stall,
            connections: BTreeMap::new(),
            next: FIRST_CONNECTION,
            room,
            desk,
        };
        let Self { epoll, .. } = &server;
        let look = |number| (EventData::new_u64(number), EventFlags::IN);
        let (data, flags) = look(LISTENER);
        epoll::add(epoll, &server.listener, data, flags)?;
        let (data, flags) = look(STOP);
        epoll::add(epoll, &server.stop, data, flags)?;
        let (data, flags) = look(ALARM);
        epoll::add(epoll, &server.alarm, data, flags)?;
        Ok(server)
    }

    /// Returns the stamps when it is told to stop. What is unanswered then stays so.
    pub(super) fn run(mut self) -> io::Result<Option<Stamps>> {
        let mut events = Vec::with_capacity(MOST_EVENTS);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            self.freeze()?;
            for event in &events {
                match event.data.u64() {
                    LISTENER => self.accept()?,
                    STOP => return Ok(self.desk.stamps),
                    ALARM => self.alarm.rang()?,
                    connection => self.serve(connection, event.flags, &mut buffer),
                }
            }
            self.answer_due();
            self.alarm.set(self.earliest())?;
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return Ok(()),
                    ErrorKind::ConnectionAborted | ErrorKind::Interrupted => continue,
                    // A target that can't accept must not look like one that is slow.
                    _ => return Err(error),
                },
            };
            if self.connections.len() < self.room {
                self.welcome(stream)?;
            } else {
                tracing::warn!(most = self.room, "a connection too many is closed at once");
            }
        }
    }

    fn welcome(&mut self, stream: TcpStream) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true).ok(); // Fails only on a connection that is gone.
        let connection = Connection::new(stream);
        let interest = connection.interest();
        let data = EventData::new_u64(self.next);
        epoll::add(&self.epoll, connection.stream(), data, interest)?;
        self.connections.insert(self.next, (connection, interest));
        self.next += 1;
        Ok(())
    }

    fn serve(&mut self, number: u64, happened: EventFlags, buffer: &mut [u8]) {
        let Some((connection, _)) = self.connections.get_mut(&number) else {
            return;
        };
        let desk = &mut self.desk;
        let fate = if happened.intersects(EventFlags::ERR | EventFlags::HUP) {
            Ok(Fate::Over)
        } else if happened.contains(EventFlags::OUT) {
            connection.answer(desk)
        } else {
            connection.read(number, buffer, desk)
        };
        self.settle(number, fate);
    }

    fn answer_due(&mut self) {
        if self.desk.waiting.is_empty() {
            return;
        }
        let now = Stamp::now();
        while let Some((_, number, owed)) = self.desk.waiting.pop_front_if(|(at, ..)| *at <= now) {
            // Its connection may be gone.
            if let Some((connection, _)) = self.connections.get_mut(&number) {
                let fate = connection.due(owed, &mut self.desk);
                self.settle(number, fate);
            }
        }
    }

    fn settle(&mut self, number: u64, fate: io::Result<Fate>) {
        let kept = fate.and_then(|fate| self.look(number, fate));
        match kept {
            Ok(Fate::Stays) => return,
            Ok(Fate::Over) => {}
            Err(error) => tracing::debug!(%error, "connection broke"),
        }
        self.connections.remove(&number);
    }

    /// Tells the kernel if something else is to be looked for.
    fn look(&mut self, number: u64, fate: Fate) -> io::Result<Fate> {
        if let Some((connection, looked_for)) = self.connections.get_mut(&number) {
            let interest = connection.interest();
            if interest != *looked_for {
                let data = EventData::new_u64(number);
                epoll::modify(&self.epoll, connection.stream(), data, interest)?;
                *looked_for = interest;
            }
        }
        Ok(fate)
    }

    /// When there is something to do that no peer asks for.
    fn earliest(&self) -> Option<Stamp> {
        let due = self.desk.waiting.front().map(|(at, ..)| *at);
        let both = [due, self.stalls_at()];
        both.into_iter().flatten().min()
    }

    fn stalls_at(&self) -> Option<Stamp> {
        Some(self.desk.first?.after(self.stall?.after))
    }

    /// Holds this thread, and thereby everything, when it is time to. Only the end comes through.
    fn freeze(&mut self) -> io::Result<()> {
        let Some(at) = self.stalls_at() else {
            return Ok(());
        };
        let mut now = Stamp::now();
        if now < at {
            return Ok(());
        }
        let Some(Stall { lasts, .. }) = self.stall.take() else {
            return Ok(());
        };
        let end = now.after(lasts);
        while now < end {
            let rest = Timespec::try_from(now.until(end)).map_err(io::Error::other)?;
            let mut stop = [PollFd::new(&self.stop, PollFlags::IN)];
            match poll(&mut stop, Some(&rest)) {
                Ok(0) | Err(Errno::INTR) => now = Stamp::now(),
                Ok(_) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
