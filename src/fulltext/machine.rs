//! The words in which the parser's rules are written: kinds of tokens, states, tests of a character, moves.

/// Kinds of tokens, in PostgreSQL's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    AsciiWord = 1,
    Word,
    NumWord,
    Email,
    Url,
    Host,
    Scientific,
    Version,
    HyphenNumPart,
    HyphenPart,
    HyphenAsciiPart,
    Blank,
    Tag,
    Protocol,
    HyphenNumWord,
    HyphenAsciiWord,
    HyphenWord,
    UrlPath,
    File,
    Decimal,
    Integer,
    Unsigned,
    Entity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Base,
    NumWord,
    AsciiWord,
    Word,
    Unsigned,
    SignedFirst,
    Signed,
    Space,
    UnsignedDecimalFirst,
    UnsignedDecimal,
    DecimalFirst,
    Decimal,
    VersionBehindSign,
    VersionAgain,
    VersionFirst,
    Version,
    ExponentFirst,
    ExponentSign,
    Exponent,
    EntityFirst,
    Entity,
    EntityNumberFirst,
    EntityNumber,
    EntityHexFirst,
    EntityHex,
    EntityEnd,
    TagFirst,
    XmlBegin,
    TagCloseFirst,
    TagName,
    TagBeginEnd,
    Tag,
    TagQuoted,
    TagDoubleQuoted,
    TagBackslash,
    TagEnd,
    CommentFirst,
    CommentLast,
    Comment,
    CommentCloseFirst,
    CommentCloseLast,
    CommentEnd,
    HostFirstDomain,
    HostDomainSecond,
    HostDomain,
    PortFirst,
    Port,
    HostFirst,
    Host,
    Email,
    FileFirst,
    FileTilde,
    PathFirst,
    PathFirstFirst,
    PathSecond,
    File,
    FileNext,
    UrlPathFirst,
    UrlPathStart,
    UrlPath,
    WholeUrl,
    ProtocolFirst,
    ProtocolSecond,
    ProtocolEnd,
    HyphenAsciiWordFirst,
    HyphenAsciiWord,
    HyphenWordFirst,
    HyphenWord,
    HyphenNumWordFirst,
    HyphenNumWord,
    HyphenDigits,
    Hyphen,
    HyphenHyphen,
    HyphenWordPart,
    HyphenAsciiWordPart,
    HyphenNumWordPart,
    HyphenUnsigned,
}

/// What the next character has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    Any,
    End,
    Is(u8),
    AsciiLetter,
    Letter,
    Digit,
    HexDigit,
    LetterOrDigit,
    NeitherLetterNorDigit,
    Special,
    Space,
    Url,
    /// Inside a script or style.
    Ignored,
    /// A host is wanted, and only that.
    StopHost,
    /// A host stands here; it becomes part of the token.
    HostHere,
    /// The path of a URL stands here; it becomes part of the token.
    PathHere,
}

/// What happens to the stack and the position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// To the next character.
    Next,
    /// To the next character on a copy of the position.
    Push,
    /// Back to the position before, at its next rule.
    Pop,
    /// To the next character; the position before is dropped.
    Clear,
    /// To the next character; all positions before are dropped.
    ClearAll,
    /// The position before takes over where this one is.
    Merge,
    /// The same character again.
    Again,
}

/// What a rule does besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Special {
    Nothing,
    /// Whether what follows is ignored, by the tag.
    Tags,
    /// The token is gone through again, for its host.
    WholeUrl,
    /// The token is gone through again, for its parts.
    Hyphen,
    /// The token begins again.
    Version,
}

#[derive(Clone, Copy, Debug)]
pub struct Rule {
    pub test: Test,
    pub step: Move,
    pub to: Option<State>,
    /// The token that ends before this character.
    pub found: Option<Kind>,
    pub special: Special,
}

impl Rule {
    pub(super) const fn new(test: Test, step: Move, to: Option<State>) -> Rule {
        Rule { test, step, to, found: None, special: Special::Nothing }
    }

    pub(super) const fn with(self, special: Special) -> Rule {
        Rule { special, ..self }
    }
}

pub(super) const fn go(test: Test, to: State) -> Rule {
    Rule::new(test, Move::Next, Some(to))
}

pub(super) const fn stay(test: Test) -> Rule {
    Rule::new(test, Move::Next, None)
}

pub(super) const fn push(test: Test, to: State) -> Rule {
    Rule::new(test, Move::Push, Some(to))
}

pub(super) const fn pop(test: Test) -> Rule {
    Rule::new(test, Move::Pop, None)
}

pub(super) const fn clear(test: Test, to: State) -> Rule {
    Rule::new(test, Move::Clear, Some(to))
}

pub(super) const fn again(test: Test, to: State) -> Rule {
    Rule::new(test, Move::Again, Some(to))
}

pub(super) const fn found(test: Test, kind: Kind) -> Rule {
    Rule { found: Some(kind), ..go(test, State::Base) }
}

pub(super) const fn found_clear(test: Test, kind: Kind, to: State) -> Rule {
    Rule { found: Some(kind), ..clear(test, to) }
}

pub(super) const fn found_all(test: Test, kind: Kind, to: State) -> Rule {
    Rule { found: Some(kind), ..Rule::new(test, Move::ClearAll, Some(to)) }
}

/// Another part of a hyphenated word may follow.
pub(super) const fn part(test: Test, kind: Kind) -> Rule {
    Rule { found: Some(kind), ..go(test, State::Hyphen) }
}
