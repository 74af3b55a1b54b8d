//! The states of the default parser and what each does with a character.
//!
//! The parser is a machine with a stack. A rule that may turn out wrong is tried on a copy of the position (push); when
//! it fails (pop) the position before it goes on with the next rule, and when it holds the kept position is dropped.
//! The states are those of PostgreSQL's default parser, because only the same machine finds the same tokens in any
//! text.

use super::machine::*;
use State::Base;
use Test::{
    Any, AsciiLetter, Digit, End, HexDigit, HostHere, Ignored, Is, Letter, LetterOrDigit,
    NeitherLetterNorDigit, PathHere, Space, StopHost, Url,
};

/// The rules of a state; the first whose test holds is followed, and the last ones always hold.
pub fn rules(state: State) -> &'static [Rule] {
    match state {
        State::Base | State::NumWord | State::AsciiWord | State::Word | State::Unsigned | State::Space => {
            words(state)
        }
        State::SignedFirst
        | State::Signed
        | State::UnsignedDecimalFirst
        | State::UnsignedDecimal
        | State::DecimalFirst
        | State::Decimal
        | State::VersionBehindSign
        | State::VersionAgain
        | State::VersionFirst
        | State::Version
        | State::ExponentFirst
        | State::ExponentSign
        | State::Exponent => numbers(state),
        State::EntityFirst
        | State::Entity
        | State::EntityNumberFirst
        | State::EntityNumber
        | State::EntityHexFirst
        | State::EntityHex
        | State::EntityEnd => entities(state),
        State::TagFirst
        | State::XmlBegin
        | State::TagCloseFirst
        | State::TagName
        | State::TagBeginEnd
        | State::Tag
        | State::TagQuoted
        | State::TagDoubleQuoted
        | State::TagBackslash
        | State::TagEnd
        | State::CommentFirst
        | State::CommentLast
        | State::Comment
        | State::CommentCloseFirst
        | State::CommentCloseLast
        | State::CommentEnd => tags(state),
        State::HostFirstDomain
        | State::HostDomainSecond
        | State::HostDomain
        | State::PortFirst
        | State::Port
        | State::HostFirst
        | State::Host
        | State::Email
        | State::UrlPathFirst
        | State::UrlPathStart
        | State::UrlPath
        | State::WholeUrl
        | State::ProtocolFirst
        | State::ProtocolSecond
        | State::ProtocolEnd => hosts(state),
        State::FileFirst
        | State::FileTilde
        | State::PathFirst
        | State::PathFirstFirst
        | State::PathSecond
        | State::File
        | State::FileNext => files(state),
        _ => hyphens(state),
    }
}

fn words(state: State) -> &'static [Rule] {
    match state {
        State::Base => {
            const {
                &[
                    stay(End),
                    push(Is(b'<'), State::TagFirst),
                    go(Ignored, State::Space),
                    go(AsciiLetter, State::AsciiWord),
                    go(Letter, State::Word),
                    go(Digit, State::Unsigned),
                    push(Is(b'-'), State::SignedFirst),
                    push(Is(b'+'), State::SignedFirst),
                    push(Is(b'&'), State::EntityFirst),
                    push(Is(b'~'), State::FileTilde),
                    push(Is(b'/'), State::FileFirst),
                    push(Is(b'.'), State::PathFirstFirst),
                    go(Any, State::Space),
                ]
            }
        }
        State::NumWord => {
            const {
                &[
                    found(End, Kind::NumWord),
                    go(LetterOrDigit, State::NumWord),
                    go(Test::Special, State::NumWord),
                    push(Is(b'@'), State::Email),
                    push(Is(b'/'), State::FileFirst),
                    push(Is(b'.'), State::FileNext),
                    push(Is(b'-'), State::HyphenNumWordFirst),
                    found(Any, Kind::NumWord),
                ]
            }
        }
        State::AsciiWord => {
            const {
                &[
                    found(End, Kind::AsciiWord),
                    stay(AsciiLetter),
                    push(Is(b'.'), State::HostFirstDomain),
                    push(Is(b'.'), State::FileNext),
                    push(Is(b'-'), State::HostFirst),
                    push(Is(b'-'), State::HyphenAsciiWordFirst),
                    push(Is(b'_'), State::HostFirst),
                    push(Is(b'@'), State::Email),
                    push(Is(b':'), State::ProtocolFirst),
                    push(Is(b'/'), State::FileFirst),
                    push(Digit, State::Host),
                    go(Digit, State::NumWord),
                    go(Letter, State::Word),
                    go(Test::Special, State::Word),
                    found(Any, Kind::AsciiWord),
                ]
            }
        }
        State::Word => {
            const {
                &[
                    found(End, Kind::Word),
                    stay(Letter),
                    stay(Test::Special),
                    go(Digit, State::NumWord),
                    push(Is(b'-'), State::HyphenWordFirst),
                    found(Any, Kind::Word),
                ]
            }
        }
        State::Unsigned => {
            const {
                &[
                    found(End, Kind::Unsigned),
                    stay(Digit),
                    push(Is(b'.'), State::HostFirstDomain),
                    push(Is(b'.'), State::UnsignedDecimalFirst),
                    push(Is(b'e'), State::ExponentFirst),
                    push(Is(b'E'), State::ExponentFirst),
                    push(Is(b'-'), State::HostFirst),
                    push(Is(b'_'), State::HostFirst),
                    push(Is(b'@'), State::Email),
                    push(AsciiLetter, State::Host),
                    go(Letter, State::NumWord),
                    go(Test::Special, State::NumWord),
                    push(Is(b'/'), State::FileFirst),
                    found(Any, Kind::Unsigned),
                ]
            }
        }
        _ => {
            const {
                &[
                    found(End, Kind::Blank),
                    found(Is(b'<'), Kind::Blank),
                    stay(Ignored),
                    found(Is(b'-'), Kind::Blank),
                    found(Is(b'+'), Kind::Blank),
                    found(Is(b'&'), Kind::Blank),
                    found(Is(b'/'), Kind::Blank),
                    go(NeitherLetterNorDigit, State::Space),
                    found(Any, Kind::Blank),
                ]
            }
        }
    }
}

fn numbers(state: State) -> &'static [Rule] {
    match state {
        State::SignedFirst => const { &[pop(End), clear(Digit, State::Signed), pop(Any)] },
        State::Signed => {
            const {
                &[
                    found(End, Kind::Integer),
                    stay(Digit),
                    push(Is(b'.'), State::DecimalFirst),
                    push(Is(b'e'), State::ExponentFirst),
                    push(Is(b'E'), State::ExponentFirst),
                    found(Any, Kind::Integer),
                ]
            }
        }
        State::UnsignedDecimalFirst => const { &[pop(End), clear(Digit, State::UnsignedDecimal), pop(Any)] },
        State::UnsignedDecimal => {
            const {
                &[
                    found(End, Kind::Decimal),
                    go(Digit, State::UnsignedDecimal),
                    push(Is(b'.'), State::VersionFirst),
                    push(Is(b'e'), State::ExponentFirst),
                    push(Is(b'E'), State::ExponentFirst),
                    found(Any, Kind::Decimal),
                ]
            }
        }
        State::DecimalFirst => const { &[pop(End), clear(Digit, State::Decimal), pop(Any)] },
        State::Decimal => {
            const {
                &[
                    found(End, Kind::Decimal),
                    go(Digit, State::Decimal),
                    push(Is(b'.'), State::VersionBehindSign),
                    push(Is(b'e'), State::ExponentFirst),
                    push(Is(b'E'), State::ExponentFirst),
                    found(Any, Kind::Decimal),
                ]
            }
        }
        State::VersionBehindSign => {
            const { &[pop(End), again(Digit, State::VersionAgain).with(Special::Version), pop(Any)] }
        }
        State::VersionAgain => {
            const { &[pop(End), found_all(Digit, Kind::Blank, State::Unsigned), stay(Any)] }
        }
        State::VersionFirst => const { &[pop(End), clear(Digit, State::Version), pop(Any)] },
        State::Version => {
            const {
                &[
                    found(End, Kind::Version),
                    go(Digit, State::Version),
                    push(Is(b'.'), State::VersionFirst),
                    found(Any, Kind::Version),
                ]
            }
        }
        State::ExponentFirst => {
            const {
                &[
                    pop(End),
                    clear(Digit, State::Exponent),
                    go(Is(b'+'), State::ExponentSign),
                    go(Is(b'-'), State::ExponentSign),
                    pop(Any),
                ]
            }
        }
        State::ExponentSign => const { &[pop(End), clear(Digit, State::Exponent), pop(Any)] },
        _ => {
            const { &[found(End, Kind::Scientific), go(Digit, State::Exponent), found(Any, Kind::Scientific)] }
        }
    }
}

fn entities(state: State) -> &'static [Rule] {
    match state {
        State::EntityFirst => {
            const {
                &[
                    pop(End),
                    go(Is(b'#'), State::EntityNumberFirst),
                    go(AsciiLetter, State::Entity),
                    go(Is(b':'), State::Entity),
                    go(Is(b'_'), State::Entity),
                    pop(Any),
                ]
            }
        }
        State::Entity => {
            const {
                &[
                    pop(End),
                    go(LetterOrDigit, State::Entity),
                    go(Is(b':'), State::Entity),
                    go(Is(b'_'), State::Entity),
                    go(Is(b'.'), State::Entity),
                    go(Is(b'-'), State::Entity),
                    go(Is(b';'), State::EntityEnd),
                    pop(Any),
                ]
            }
        }
        State::EntityNumberFirst => {
            const {
                &[
                    pop(End),
                    go(Is(b'x'), State::EntityHexFirst),
                    go(Is(b'X'), State::EntityHexFirst),
                    go(Digit, State::EntityNumber),
                    pop(Any),
                ]
            }
        }
        State::EntityNumber => {
            const { &[pop(End), go(Digit, State::EntityNumber), go(Is(b';'), State::EntityEnd), pop(Any)] }
        }
        State::EntityHexFirst => const { &[pop(End), go(HexDigit, State::EntityHex), pop(Any)] },
        State::EntityHex => {
            const { &[pop(End), go(HexDigit, State::EntityHex), go(Is(b';'), State::EntityEnd), pop(Any)] }
        }
        _ => const { &[found_clear(Any, Kind::Entity, Base)] },
    }
}

fn tags(state: State) -> &'static [Rule] {
    match state {
        State::TagFirst => {
            const {
                &[
                    pop(End),
                    push(Is(b'/'), State::TagCloseFirst),
                    push(Is(b'!'), State::CommentFirst),
                    push(Is(b'?'), State::XmlBegin),
                    push(AsciiLetter, State::TagName),
                    push(Is(b':'), State::TagName),
                    push(Is(b'_'), State::TagName),
                    pop(Any),
                ]
            }
        }
        State::XmlBegin => const { &[pop(End), go(Is(b'x'), State::Tag), pop(Any)] },
        State::TagCloseFirst => const { &[pop(End), go(AsciiLetter, State::TagName), pop(Any)] },
        State::TagName => {
            const {
                &[
                    pop(End),
                    go(Is(b'/'), State::TagBeginEnd),
                    go(Is(b'>'), State::TagEnd).with(Special::Tags),
                    go(Space, State::Tag).with(Special::Tags),
                    stay(LetterOrDigit),
                    stay(Is(b':')),
                    stay(Is(b'_')),
                    stay(Is(b'.')),
                    stay(Is(b'-')),
                    pop(Any),
                ]
            }
        }
        State::TagBeginEnd => const { &[pop(End), go(Is(b'>'), State::TagEnd), pop(Any)] },
        State::Tag => {
            const {
                &[
                    pop(End),
                    go(Is(b'>'), State::TagEnd).with(Special::Tags),
                    go(Is(b'\''), State::TagQuoted),
                    go(Is(b'"'), State::TagDoubleQuoted),
                    stay(AsciiLetter),
                    stay(Digit),
                    stay(Is(b'=')),
                    stay(Is(b'-')),
                    stay(Is(b'_')),
                    stay(Is(b'#')),
                    stay(Is(b'/')),
                    stay(Is(b':')),
                    stay(Is(b'.')),
                    stay(Is(b'&')),
                    stay(Is(b'?')),
                    stay(Is(b'%')),
                    stay(Is(b'~')),
                    stay(Space).with(Special::Tags),
                    pop(Any),
                ]
            }
        }
        State::TagQuoted => {
            const {
                &[
                    pop(End),
                    push(Is(b'\\'), State::TagBackslash),
                    go(Is(b'\''), State::Tag),
                    go(Any, State::TagQuoted),
                ]
            }
        }
        State::TagDoubleQuoted => {
            const {
                &[
                    pop(End),
                    push(Is(b'\\'), State::TagBackslash),
                    go(Is(b'"'), State::Tag),
                    go(Any, State::TagDoubleQuoted),
                ]
            }
        }
        State::TagBackslash => const { &[pop(End), Rule::new(Any, Move::Merge, None)] },
        State::CommentFirst => {
            const {
                &[
                    pop(End),
                    go(Is(b'-'), State::CommentLast),
                    // <!DOCTYPE ...>
                    go(Is(b'D'), State::Tag),
                    go(Is(b'd'), State::Tag),
                    pop(Any),
                ]
            }
        }
        State::CommentLast => const { &[pop(End), go(Is(b'-'), State::Comment), pop(Any)] },
        State::Comment => const { &[pop(End), go(Is(b'-'), State::CommentCloseFirst), stay(Any)] },
        State::CommentCloseFirst => {
            const { &[pop(End), go(Is(b'-'), State::CommentCloseLast), go(Any, State::Comment)] }
        }
        State::CommentCloseLast => {
            const { &[pop(End), stay(Is(b'-')), go(Is(b'>'), State::CommentEnd), go(Any, State::Comment)] }
        }
        // The ends of tags and of comments.
        _ => const { &[found_all(Any, Kind::Tag, Base)] },
    }
}

fn hosts(state: State) -> &'static [Rule] {
    match state {
        State::HostFirstDomain => {
            const { &[pop(End), go(AsciiLetter, State::HostDomainSecond), go(Digit, State::Host), pop(Any)] }
        }
        State::HostDomainSecond => {
            const {
                &[
                    pop(End),
                    go(AsciiLetter, State::HostDomain),
                    push(Digit, State::Host),
                    push(Is(b'-'), State::HostFirst),
                    push(Is(b'_'), State::HostFirst),
                    push(Is(b'.'), State::HostFirstDomain),
                    push(Is(b'@'), State::Email),
                    pop(Any),
                ]
            }
        }
        State::HostDomain => {
            const {
                &[
                    found_all(End, Kind::Host, Base),
                    go(AsciiLetter, State::HostDomain),
                    push(Digit, State::Host),
                    push(Is(b':'), State::PortFirst),
                    push(Is(b'-'), State::HostFirst),
                    push(Is(b'_'), State::HostFirst),
                    push(Is(b'.'), State::HostFirstDomain),
                    push(Is(b'@'), State::Email),
                    pop(Digit),
                    found_all(StopHost, Kind::Host, State::UrlPathStart),
                    push(Is(b'/'), State::WholeUrl),
                    found_all(Any, Kind::Host, Base),
                ]
            }
        }
        State::PortFirst => const { &[pop(End), go(Digit, State::Port), pop(Any)] },
        State::Port => {
            const {
                &[
                    found_all(End, Kind::Host, Base),
                    go(Digit, State::Port),
                    found_all(StopHost, Kind::Host, State::UrlPathStart),
                    push(Is(b'/'), State::WholeUrl),
                    found_all(Any, Kind::Host, Base),
                ]
            }
        }
        State::HostFirst => {
            const { &[pop(End), go(Digit, State::Host), go(AsciiLetter, State::Host), pop(Any)] }
        }
        State::Host => {
            const {
                &[
                    pop(End),
                    go(Digit, State::Host),
                    go(AsciiLetter, State::Host),
                    push(Is(b'@'), State::Email),
                    push(Is(b'.'), State::HostFirstDomain),
                    push(Is(b'-'), State::HostFirst),
                    push(Is(b'_'), State::HostFirst),
                    pop(Any),
                ]
            }
        }
        State::Email => const { &[pop(StopHost), found_all(HostHere, Kind::Email, Base), pop(Any)] },
        State::UrlPathFirst => const { &[pop(End), go(Url, State::UrlPath), pop(Any)] },
        State::UrlPathStart => const { &[go(Any, State::UrlPath)] },
        State::UrlPath => {
            const { &[found(End, Kind::UrlPath), go(Url, State::UrlPath), found(Any, Kind::UrlPath)] }
        }
        State::WholeUrl => {
            const { &[pop(End), found_all(PathHere, Kind::Url, Base).with(Special::WholeUrl), pop(Any)] }
        }
        State::ProtocolFirst => const { &[pop(End), go(Is(b'/'), State::ProtocolSecond), pop(Any)] },
        State::ProtocolSecond => const { &[pop(End), go(Is(b'/'), State::ProtocolEnd), pop(Any)] },
        _ => const { &[found_all(Any, Kind::Protocol, Base)] },
    }
}

fn files(state: State) -> &'static [Rule] {
    match state {
        State::FileFirst => {
            const {
                &[
                    pop(End),
                    go(AsciiLetter, State::File),
                    go(Digit, State::File),
                    go(Is(b'.'), State::PathFirst),
                    go(Is(b'_'), State::File),
                    push(Is(b'~'), State::FileTilde),
                    pop(Any),
                ]
            }
        }
        State::FileTilde => {
            const {
                &[
                    pop(End),
                    go(AsciiLetter, State::File),
                    go(Digit, State::File),
                    go(Is(b'_'), State::File),
                    go(Is(b'/'), State::FileFirst),
                    pop(Any),
                ]
            }
        }
        State::PathFirst => {
            const {
                &[
                    pop(End),
                    go(AsciiLetter, State::File),
                    go(Digit, State::File),
                    go(Is(b'_'), State::File),
                    go(Is(b'.'), State::PathSecond),
                    go(Is(b'/'), State::FileFirst),
                    pop(Any),
                ]
            }
        }
        State::PathFirstFirst => {
            const { &[pop(End), go(Is(b'.'), State::PathSecond), go(Is(b'/'), State::FileFirst), pop(Any)] }
        }
        State::PathSecond => {
            const {
                &[
                    found_clear(End, Kind::File, Base),
                    push(Is(b'/'), State::FileFirst),
                    found_clear(Is(b'/'), Kind::File, Base),
                    found_clear(Space, Kind::File, Base),
                    pop(Any),
                ]
            }
        }
        State::File => {
            const {
                &[
                    found(End, Kind::File),
                    go(AsciiLetter, State::File),
                    go(Digit, State::File),
                    push(Is(b'.'), State::FileNext),
                    go(Is(b'_'), State::File),
                    go(Is(b'-'), State::File),
                    push(Is(b'/'), State::FileFirst),
                    found(Any, Kind::File),
                ]
            }
        }
        _ => {
            const {
                &[
                    pop(End),
                    clear(AsciiLetter, State::File),
                    clear(Digit, State::File),
                    clear(Is(b'_'), State::File),
                    pop(Any),
                ]
            }
        }
    }
}

fn hyphens(state: State) -> &'static [Rule] {
    match state {
        State::HyphenAsciiWordFirst => {
            const {
                &[
                    pop(End),
                    go(AsciiLetter, State::HyphenAsciiWord),
                    go(Letter, State::HyphenWord),
                    go(Digit, State::HyphenDigits),
                    pop(Any),
                ]
            }
        }
        State::HyphenAsciiWord => {
            const {
                &[
                    found_all(End, Kind::HyphenAsciiWord, State::Hyphen).with(Special::Hyphen),
                    go(AsciiLetter, State::HyphenAsciiWord),
                    go(Letter, State::HyphenWord),
                    go(Test::Special, State::HyphenWord),
                    go(Digit, State::HyphenNumWord),
                    push(Is(b'-'), State::HyphenAsciiWordFirst),
                    found_all(Any, Kind::HyphenAsciiWord, State::Hyphen).with(Special::Hyphen),
                ]
            }
        }
        State::HyphenWordFirst => {
            const { &[pop(End), go(Letter, State::HyphenWord), go(Digit, State::HyphenDigits), pop(Any)] }
        }
        State::HyphenWord => {
            const {
                &[
                    found_all(End, Kind::HyphenWord, State::Hyphen).with(Special::Hyphen),
                    go(Letter, State::HyphenWord),
                    go(Test::Special, State::HyphenWord),
                    go(Digit, State::HyphenNumWord),
                    push(Is(b'-'), State::HyphenWordFirst),
                    found_all(Any, Kind::HyphenWord, State::Hyphen).with(Special::Hyphen),
                ]
            }
        }
        State::HyphenNumWordFirst => {
            const { &[pop(End), go(Letter, State::HyphenNumWord), go(Digit, State::HyphenDigits), pop(Any)] }
        }
        State::HyphenNumWord => {
            const {
                &[
                    found_all(End, Kind::HyphenNumWord, State::Hyphen).with(Special::Hyphen),
                    go(LetterOrDigit, State::HyphenNumWord),
                    go(Test::Special, State::HyphenNumWord),
                    push(Is(b'-'), State::HyphenNumWordFirst),
                    found_all(Any, Kind::HyphenNumWord, State::Hyphen).with(Special::Hyphen),
                ]
            }
        }
        State::HyphenDigits => {
            const {
                &[
                    pop(End),
                    go(Digit, State::HyphenDigits),
                    go(Letter, State::HyphenNumWord),
                    go(Test::Special, State::HyphenNumWord),
                    pop(Any),
                ]
            }
        }
        State::Hyphen => {
            const {
                &[
                    again(End, Base),
                    go(AsciiLetter, State::HyphenAsciiWordPart),
                    go(Letter, State::HyphenWordPart),
                    push(Digit, State::HyphenUnsigned),
                    push(Is(b'-'), State::HyphenHyphen),
                    again(Any, Base),
                ]
            }
        }
        State::HyphenHyphen => {
            const {
                &[
                    pop(End),
                    found_clear(LetterOrDigit, Kind::Blank, State::Hyphen),
                    found_clear(Test::Special, Kind::Blank, State::Hyphen),
                    pop(Any),
                ]
            }
        }
        State::HyphenWordPart => {
            const {
                &[
                    found(End, Kind::HyphenPart),
                    go(Letter, State::HyphenWordPart),
                    go(Test::Special, State::HyphenWordPart),
                    go(Digit, State::HyphenNumWordPart),
                    part(Any, Kind::HyphenPart),
                ]
            }
        }
        State::HyphenAsciiWordPart => {
            const {
                &[
                    found(End, Kind::HyphenAsciiPart),
                    go(AsciiLetter, State::HyphenAsciiWordPart),
                    go(Letter, State::HyphenWordPart),
                    go(Test::Special, State::HyphenWordPart),
                    go(Digit, State::HyphenNumWordPart),
                    part(Any, Kind::HyphenAsciiPart),
                ]
            }
        }
        State::HyphenNumWordPart => {
            const {
                &[
                    found(End, Kind::HyphenNumPart),
                    go(LetterOrDigit, State::HyphenNumWordPart),
                    go(Test::Special, State::HyphenNumWordPart),
                    part(Any, Kind::HyphenNumPart),
                ]
            }
        }
        _ => {
            const {
                &[
                    pop(End),
                    stay(Digit),
                    clear(Letter, State::HyphenNumWordPart),
                    clear(Test::Special, State::HyphenNumWordPart),
                    pop(Any),
                ]
            }
        }
    }
}
