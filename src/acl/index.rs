//! Finding the rules of a large policy that a request can be about, without asking each of them.
//!
//! Rules lie in trees over the levels of their topics, one tree for each user pattern, so that ten
//! thousand rules cost about as much as ten. A walk finds *candidates*: at least every rule that
//! applies. Whether one does is decided by the caller, with the same arithmetic that a small policy
//! is decided with, so the trees cannot make an answer wrong unless they miss a rule; the oracle
//! looks for that.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::acl::rule::{Action, Effect, Rule, UserPattern};
use crate::acl::template::{Level, Subject};

/// The place of a rule in the order in which rules are asked. The lower decides.
pub type Rank = u32;

/// What is looked for.
#[derive(Debug, Clone, Copy)]
pub enum Wanted<'a> {
    /// Rules whose filter matches this topic name.
    Matching(&'a str),
    /// Allow rules whose filter covers this filter, and deny rules that share a topic with it.
    About(&'a str),
}

/// An index of rules.
#[derive(Debug, Clone)]
pub struct Index {
    /// By action, then by effect.
    forests: [[Forest; 2]; 2],
    /// Deny rules that may be about more levels than they are written with, where a broker takes
    /// `.` for `/` and `*` for `+`.
    wider_in_amqp: Vec<Rank>,
}

/// The trees of all user patterns.
#[derive(Debug, Clone, Default)]
struct Forest {
    everybody: Tree,
    /// By the part of the username before the `@`.
    exactly: HashMap<Box<str>, Tree, RandomState>,
    beginning: HashMap<Box<str>, Tree, RandomState>,
    /// The lengths of the keys of `beginning`, each once.
    lengths: Vec<usize>,
}

/// Rules by the levels of their topics. The first node is the root.
#[derive(Debug, Clone, Default)]
struct Tree {
    nodes: Vec<Node>,
}

#[derive(Debug, Clone)]
struct Node {
    /// The lowest rank here and below.
    lowest: Rank,
    /// Rules that end here, in ascending order.
    here: Vec<Rank>,
    /// Rules that end in `#` below this level.
    all_below: Vec<Rank>,
    fixed: HashMap<Box<str>, usize, RandomState>,
    plus: Option<usize>,
    /// Levels with placeholders. Few are different.
    filled: Vec<(Level, usize)>,
}

/// One walk through the trees.
struct Walk<'w, 's> {
    subject: &'w Subject<'s>,
    levels: &'w [&'w str],
    how: How,
    /// The lowest rank that was accepted so far.
    found: Option<Rank>,
    accept: &'w mut dyn FnMut(Rank) -> bool,
}

/// How a requested level meets the levels of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// No wildcards are requested.
    Topic,
    /// A wildcard needs as wide a one.
    Covered,
    /// A wildcard meets everything.
    Shared,
}

impl Index {
    /// Indexes rules, given in their order.
    pub fn of(rules: &[Rule]) -> Self {
        let mut index = Self {
            forests: Default::default(),
            wider_in_amqp: Vec::new(),
        };
        for (rank, rule) in (0..).zip(rules) {
            let levels = rule.topic.levels();
            for action in [Action::Publish, Action::Subscribe] {
                if rule.action.includes(action) {
                    let forest = &mut index.forests[place(action)][rule.effect as usize];
                    forest.tree_of(&rule.user).insert(&levels, rank);
                }
            }
            if rule.effect == Effect::Deny && levels.iter().any(Level::may_be_wider_in_amqp) {
                index.wider_in_amqp.push(rank);
            }
        }
        index
    }

    /// The first rule, in their order, that the caller accepts. It is asked about every rule that
    /// can decide, and about some that cannot.
    pub fn first(
        &self,
        action: Action,
        subject: &Subject<'_>,
        wanted: Wanted<'_>,
        is_amqp: bool,
        mut accept: impl FnMut(Rank) -> bool,
    ) -> Option<Rank> {
        let (text, hows) = match wanted {
            Wanted::Matching(topic) => (topic, [How::Topic, How::Topic]),
            Wanted::About(filter) => (filter, [How::Covered, How::Shared]),
        };
        let mut levels: Vec<&str> = text.split('/').collect();
        // No topic has zero levels, so `#` is what `+/#` is, and `/#` what `/+/#` is. Rules that are
        // written with one are found with the other.
        if matches!((wanted, text), (Wanted::About(_), "#" | "/#")) {
            levels.insert(levels.len() - 1, "+");
        }
        let mut walk = Walk {
            subject,
            levels: &levels,
            how: How::Topic,
            found: None,
            accept: &mut accept,
        };
        for effect in [Effect::Allow, Effect::Deny] {
            walk.how = hows[effect as usize];
            self.forests[place(action)][effect as usize].visit(&mut walk);
        }
        if is_amqp {
            walk.consider(&self.wider_in_amqp);
        }
        walk.found
    }
}

fn place(action: Action) -> usize {
    usize::from(action == Action::Subscribe)
}

impl Forest {
    fn tree_of(&mut self, user: &UserPattern) -> &mut Tree {
        match user {
            UserPattern::Everybody => &mut self.everybody,
            // What stands behind an `@` is left to the caller's own look.
            UserPattern::Exactly(name) | UserPattern::BeginsWith(name) if name.contains('@') => {
                let local = name.split('@').next().unwrap_or_default();
                self.exactly.entry(local.into()).or_default()
            }
            UserPattern::Exactly(name) => self.exactly.entry(name.as_str().into()).or_default(),
            UserPattern::BeginsWith(name) => {
                if !self.lengths.contains(&name.len()) {
                    self.lengths.push(name.len());
                }
                self.beginning.entry(name.as_str().into()).or_default()
            }
        }
    }

    fn visit(&self, walk: &mut Walk<'_, '_>) {
        let name = walk.subject.local_name;
        self.everybody.visit(walk);
        if let Some(tree) = self.exactly.get(name) {
            tree.visit(walk);
        }
        let beginnings = self.lengths.iter().filter_map(|length| name.get(..*length));
        for tree in beginnings.filter_map(|beginning| self.beginning.get(beginning)) {
            tree.visit(walk);
        }
    }
}

impl Tree {
    fn insert(&mut self, levels: &[Level], rank: Rank) {
        if self.nodes.is_empty() {
            self.nodes.push(Node::new(rank));
        }
        let mut at = 0;
        for level in levels {
            let node = &self.nodes[at];
            let known = match level {
                Level::Fixed(text) if text == "#" => {
                    self.nodes[at].all_below.push(rank);
                    return;
                }
                Level::Fixed(text) if text == "+" => node.plus,
                Level::Fixed(text) => node.fixed.get(text.as_str()).copied(),
                Level::Filled(_) => {
                    let same = node.filled.iter().find(|(other, _)| other == level);
                    same.map(|(_, next)| *next)
                }
            };
            at = known.unwrap_or_else(|| self.grow(at, level, rank));
        }
        self.nodes[at].here.push(rank);
    }

    fn grow(&mut self, at: usize, level: &Level, rank: Rank) -> usize {
        let next = self.nodes.len();
        self.nodes.push(Node::new(rank));
        let node = &mut self.nodes[at];
        match level {
            Level::Fixed(text) if text == "+" => node.plus = Some(next),
            Level::Fixed(text) => {
                node.fixed.insert(text.as_str().into(), next);
            }
            Level::Filled(_) => node.filled.push((level.clone(), next)),
        }
        next
    }

    fn visit(&self, walk: &mut Walk<'_, '_>) {
        if self.nodes.is_empty() {
            return;
        }
        self.visit_node(0, 0, walk);
    }

    /// `depth` levels have led here.
    fn visit_node(&self, at: usize, depth: usize, walk: &mut Walk<'_, '_>) {
        let node = &self.nodes[at];
        if walk.is_settled_before(node.lowest) {
            return;
        }
        walk.consider(&node.all_below);
        let Some(level) = walk.levels.get(depth) else {
            walk.consider(&node.here);
            return;
        };
        match (walk.how, *level) {
            (How::Shared, "#") => {
                walk.consider(&node.here);
                node.children().for_each(|next| self.visit_all(next, walk));
            }
            (How::Shared, "+") => {
                let below = depth + 1;
                node.children()
                    .for_each(|next| self.visit_node(next, below, walk));
            }
            (How::Covered, "#") => {}
            (How::Covered, "+") => {
                if let Some(next) = node.plus {
                    self.visit_node(next, depth + 1, walk);
                }
            }
            (_, level) => {
                let filled = node.filled.iter();
                let subject = walk.subject;
                let filled = filled.filter(|(one, _)| one.is(level, subject));
                let fixed = node.fixed.get(level).copied().into_iter();
                for next in fixed.chain(node.plus).chain(filled.map(|(_, next)| *next)) {
                    self.visit_node(next, depth + 1, walk);
                }
            }
        }
    }

    fn visit_all(&self, at: usize, walk: &mut Walk<'_, '_>) {
        let node = &self.nodes[at];
        if walk.is_settled_before(node.lowest) {
            return;
        }
        walk.consider(&node.here);
        walk.consider(&node.all_below);
        node.children().for_each(|next| self.visit_all(next, walk));
    }
}

impl Node {
    /// A node for a rule. Rules come in their order, so the first is the lowest.
    fn new(rank: Rank) -> Self {
        Self {
            lowest: rank,
            here: Vec::new(),
            all_below: Vec::new(),
            fixed: HashMap::default(),
            plus: None,
            filled: Vec::new(),
        }
    }

    fn children(&self) -> impl Iterator<Item = usize> {
        let filled = self.filled.iter().map(|(_, next)| *next);
        let fixed = self.fixed.values().copied();
        fixed.chain(self.plus).chain(filled)
    }
}

impl Walk<'_, '_> {
    /// Whether no rule from this rank on can change what was found.
    fn is_settled_before(&self, rank: Rank) -> bool {
        self.found.is_some_and(|found| found < rank)
    }

    /// Takes the first of these that is accepted, if it comes before what was found.
    fn consider(&mut self, ranks: &[Rank]) {
        for rank in ranks {
            if self.is_settled_before(*rank) {
                return;
            }
            if (self.accept)(*rank) {
                self.found = Some(*rank);
                return;
            }
        }
    }
}
