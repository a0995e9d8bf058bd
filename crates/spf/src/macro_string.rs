/// Text with macros in it (RFC 7208 section 7.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MacroString<'a> {
    pub pieces: Vec<Piece<'a>>,
}

/// A part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    Literal(&'a str),
    Macro(Macro<'a>),
}

/// `%{L5r+-}`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Macro<'a> {
    pub letter: Letter,
    /// The letter is a capital: the value is escaped for URLs.
    pub is_escaped: bool,
    /// Of how many parts, counted from the right, the value is made; 0 for all.
    pub parts: usize,
    pub is_reversed: bool,
    /// What divides the parts; a dot if nothing is named.
    pub delimiters: &'a str,
}

/// What a macro stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Letter {
    Sender,
    LocalPart,
    SenderDomain,
    Domain,
    Client,
    ValidatedName,
    Family,
    Helo,
    ReadableClient,
    Receiver,
    Time,
}

impl Letter {
    fn parse(letter: char) -> Option<Self> {
        Some(match letter.to_ascii_lowercase() {
            's' => Self::Sender,
            'l' => Self::LocalPart,
            'o' => Self::SenderDomain,
            'd' => Self::Domain,
            'i' => Self::Client,
            'p' => Self::ValidatedName,
            'v' => Self::Family,
            'h' => Self::Helo,
            'c' => Self::ReadableClient,
            'r' => Self::Receiver,
            't' => Self::Time,
            _ => return None,
        })
    }

    /// RFC 7208 section 7.2: "The following macro letters are allowed only in "exp" text".
    fn is_of_explanation(self) -> bool {
        matches!(self, Self::ReadableClient | Self::Receiver | Self::Time)
    }
}

impl<'a> MacroString<'a> {
    /// Reads text, in which blanks count as any other character. `None` if it follows no grammar.
    pub fn parse(text: &'a str) -> Option<Self> {
        if !text.bytes().all(|b| matches!(b, b' '..=b'~')) {
            return None;
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((literal, behind)) = rest.split_once('%') {
            if !literal.is_empty() {
                pieces.push(Piece::Literal(literal));
            }
            let (piece, behind) = Piece::parse(behind)?;
            pieces.push(piece);
            rest = behind;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Literal(rest));
        }
        Some(Self { pieces })
    }

    /// Reads a `domain-spec`: text that ends in a macro, or in a top-level label behind a dot.
    pub fn parse_domain(text: &'a str) -> Option<Self> {
        let string = Self::parse(text)?;
        let of_explanation = |piece: &Piece<'_>| match piece {
            Piece::Macro(found) => found.letter.is_of_explanation(),
            Piece::Literal(_) => false,
        };
        let is_complete = match string.pieces.last()? {
            // `%%`, `%_` and `%-` are macros too.
            Piece::Macro(_) | Piece::Literal("%" | " " | "%20") => true,
            Piece::Literal(end) => ends_in_top_label(end),
        };
        (is_complete && !string.pieces.iter().any(of_explanation)).then_some(string)
    }
}

impl<'a> Piece<'a> {
    /// Reads what follows a `%`; gives what stands behind it too.
    fn parse(text: &'a str) -> Option<(Self, &'a str)> {
        for (sign, literal) in [("%", "%"), ("_", " "), ("-", "%20")] {
            if let Some(behind) = text.strip_prefix(sign) {
                return Some((Self::Literal(literal), behind));
            }
        }
        let (inner, behind) = text.strip_prefix('{')?.split_once('}')?;
        Some((Self::Macro(Macro::parse(inner)?), behind))
    }
}

impl<'a> Macro<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let first = text.chars().next()?;
        let letter = Letter::parse(first)?;
        let text = text.get(1..)?;
        let digits_end = text.find(|c: char| !c.is_ascii_digit());
        let (digits, text) = text.split_at(digits_end.unwrap_or(text.len()));
        let parts = match digits {
            "" => 0,
            // More than there can be parts.
            _ => digits.parse().unwrap_or(usize::MAX),
        };
        let reversed = text.strip_prefix(['r', 'R']);
        let delimiters = reversed.unwrap_or(text);
        // RFC 7208 section 7.1: "The DIGIT transformer ... MUST be nonzero".
        let is_zero = parts == 0 && !digits.is_empty();
        let is_delimiter = |c: char| ".-+,/_=".contains(c);
        (!is_zero && delimiters.chars().all(is_delimiter)).then_some(Self {
            letter,
            is_escaped: first.is_ascii_uppercase(),
            parts,
            is_reversed: reversed.is_some(),
            delimiters,
        })
    }
}

/// `toplabel`, with a dot before it and perhaps one behind it.
fn ends_in_top_label(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let Some((_, label)) = text.rsplit_once('.') else {
        return false;
    };
    let is_edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let octets = label.as_bytes();
    is_edge(octets.first())
        && is_edge(octets.last())
        && octets
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || *b == b'-')
        && !octets.iter().all(u8::is_ascii_digit)
}
