//! What the text of a source means in a context: names, globs and symbolic links, never leaving the root.

use std::collections::VecDeque;

use super::{
    ContextError, Ignore, Pattern,
    pattern::States,
    tree::{Node, Reader, below_root, join, shown},
};

/// Something that a source matches.
#[derive(Debug, Clone)]
pub(super) struct Match<'t> {
    pub(super) node: &'t Node,
    /// Where it is, relative to the context.
    pub(super) path: Vec<u8>,
    /// The path that it was found under: another one where links were followed.
    pub(super) named: Vec<u8>,
}

/// Where following a path in the root has led to.
enum Followed<'t> {
    To(&'t Node, Vec<u8>),
    Nowhere,
    /// Through this link to nothing.
    Dangling(Vec<u8>),
}

/// The kernel's own limit of links on one path.
const MAX_LINKS: usize = 40;

/// One source that is being resolved.
pub(super) struct Source<'a, 't> {
    pub(super) reader: Reader<'a>,
    pub(super) ignore: &'a Ignore,
    pub(super) top: &'t Node,
    pub(super) written: &'a str,
}

impl<'t> Source<'_, 't> {
    /// All that the source matches, sorted; at least one, unless it is a glob and those may match nothing.
    pub(super) fn resolve(&self, may_be_empty: bool) -> Result<Vec<Match<'t>>, ContextError> {
        let parts = self.parts()?;
        let glob = |error| ContextError::Glob { written: self.written.to_owned(), error };
        let mut names = Vec::new();
        for part in &parts {
            match Pattern::parse(part).map_err(glob)?.literal() {
                Some(name) => names.push(name),
                None => break,
            }
        }
        if names.len() == parts.len() {
            return self.exactly(names).map(|found| vec![found]);
        }
        let pattern = Pattern::parse(parts[names.len()..].join(&b'/')).map_err(glob)?;
        let mut found = Vec::new();
        if let Followed::To(base, path) = self.follow(&names)? {
            self.expand(&pattern, pattern.start(), base, (path, names.join(&b'/')), &mut found)?;
        }
        if found.is_empty() {
            // `pages/[id].ts`: a name that looks like a pattern.
            let literal = parts.iter().map(|part| part.to_vec()).collect();
            return match self.exactly(literal) {
                Err(ContextError::Missing { .. } | ContextError::Ignored { .. }) if may_be_empty => Ok(found),
                literal => literal.map(|found| vec![found]),
            };
        }
        for one in &mut found {
            if one.node.file_type.is_symlink() {
                let names: Vec<_> = one.named.split(|b| *b == b'/').map(<[u8]>::to_vec).collect();
                // A link to nothing is copied as the link it is where it was not asked for by name.
                if let Followed::To(node, path) = self.follow(&names)? {
                    (one.node, one.path) = (node, path);
                }
            }
        }
        Ok(found)
    }

    /// The parts of the source, with `.` and `..` worked in.
    fn parts(&self) -> Result<Vec<&[u8]>, ContextError> {
        let mut parts = Vec::new();
        for part in self.written.as_bytes().split(|b| *b == b'/') {
            match part {
                b"" | b"." => {}
                b".." => {
                    parts.pop().ok_or_else(|| ContextError::Outside {
                        written: self.written.to_owned(),
                        root: self.reader.called.to_owned(),
                    })?;
                }
                part => parts.push(part),
            }
        }
        Ok(parts)
    }

    fn exactly(&self, names: Vec<Vec<u8>>) -> Result<Match<'t>, ContextError> {
        match self.follow(&names)? {
            Followed::To(node, path) if self.visible(node, &path)? => {
                Ok(Match { node, path, named: names.join(&b'/') })
            }
            Followed::To(..) | Followed::Nowhere => Err(self.missing(&names)?),
            Followed::Dangling(link) => Err(ContextError::Dangling {
                written: self.written.to_owned(),
                link: shown(&link),
                root: self.reader.called.to_owned(),
            }),
        }
    }

    /// Goes along a path as if the root were that of the file system: links are followed, `..` stops at the root.
    fn follow(&self, names: &[Vec<u8>]) -> Result<Followed<'t>, ContextError> {
        let mut rest: VecDeque<Vec<u8>> = names.iter().cloned().collect();
        let mut stack = vec![(self.top, Vec::new())];
        let mut link: Option<Vec<u8>> = None;
        let mut links = 0;
        while let Some(name) = rest.pop_front() {
            // The top is never popped.
            let Some((at, path)) = stack.last() else { break };
            match name.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    if stack.len() > 1 {
                        stack.pop();
                    }
                    continue;
                }
                _ => {}
            }
            let child = if at.is_dir() { at.child(self.reader, path, &name)? } else { None };
            let Some(child) = child else { return Ok(link.map_or(Followed::Nowhere, Followed::Dangling)) };
            let path = join(path, &name);
            if !child.file_type.is_symlink() {
                stack.push((child, path));
                continue;
            }
            links += 1;
            if links > MAX_LINKS {
                return Ok(Followed::Dangling(path));
            }
            if child.target.first() == Some(&b'/') {
                stack.truncate(1);
            }
            for part in child.target.split(|b| *b == b'/').rev() {
                rest.push_front(part.to_vec());
            }
            link = Some(path);
        }
        Ok(match stack.pop() {
            Some((node, path)) => Followed::To(node, path),
            None => Followed::Nowhere,
        })
    }

    /// Finds what a pattern matches below a directory; not below what it matches already.
    fn expand(
        &self,
        pattern: &Pattern,
        states: States,
        base: &'t Node,
        (path, named): (Vec<u8>, Vec<u8>),
        found: &mut Vec<Match<'t>>,
    ) -> Result<(), ContextError> {
        if !base.is_dir() {
            return Ok(());
        }
        let mut scratch = (States::new(), States::new());
        for node in base.list(self.reader, &path)? {
            pattern.run(&states, &node.name, &mut scratch);
            let below = || (join(&path, &node.name), join(&named, &node.name));
            if pattern.accepts(&scratch.0) && self.visible(node, &below().0)? {
                let (path, named) = below();
                found.push(Match { node, path, named });
            } else if node.is_dir() {
                let reached = scratch.0.clone();
                pattern.run(&reached, b"/", &mut scratch);
                if !scratch.0.is_empty() {
                    self.expand(pattern, scratch.0.clone(), node, below(), found)?;
                }
            }
        }
        Ok(())
    }

    /// Whether a node is part of the context: itself, or for something below it.
    fn visible(&self, node: &'t Node, path: &[u8]) -> Result<bool, ContextError> {
        if !node.ignored {
            return Ok(true);
        }
        for child in node.list(self.reader, path)? {
            if self.visible(child, &join(path, &child.name))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Why there is nothing of this name.
    fn missing(&self, names: &[Vec<u8>]) -> Result<ContextError, ContextError> {
        let path = names.join(&b'/');
        let written = self.written.to_owned();
        if let Some(rule) = self.ignore.filter().why(&path)
            && below_root(self.reader.root, &path).symlink_metadata().is_ok()
        {
            let file = self.ignore.file().map(|file| file.to_owned());
            return Ok(ContextError::Ignored { written, rule: rule.written.clone(), file, line: rule.line });
        }
        let root = self.reader.called.to_owned();
        let mut similar = None;
        for count in (0..names.len()).rev() {
            if let Followed::To(node, path) = self.follow(&names[..count])? {
                if node.is_dir() {
                    similar = self.similar(node, &path, &names[count])?;
                }
                break;
            }
        }
        Ok(ContextError::Missing { written, root, similar })
    }

    /// The name in a directory that looks most like another.
    fn similar(&self, node: &'t Node, path: &[u8], name: &[u8]) -> Result<Option<String>, ContextError> {
        let name = shown(name).to_lowercase();
        let close = node.list(self.reader, path)?.iter().filter(|child| !child.ignored).filter_map(|child| {
            let score = strsim::normalized_damerau_levenshtein(&name, &shown(&child.name).to_lowercase());
            (score > 0.6).then_some((score, child))
        });
        let best = close.max_by(|a, b| a.0.total_cmp(&b.0));
        Ok(best.map(|(_, child)| shown(&join(path, &child.name))))
    }
}
