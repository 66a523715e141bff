//! Texts with variables: `{caller}`, `{time}` and so on. `{{` and `}}` stand for the braces themselves.

use super::version::{Piece, Text, Variable};

impl Variable {
    /// Every variable by its name in a template.
    pub const ALL: [(&'static str, Self); 10] = [
        ("caller", Self::Caller),
        ("did", Self::Did),
        ("time", Self::Time),
        ("date", Self::Date),
        ("company", Self::Company),
        ("employee", Self::Employee),
        ("client", Self::Client),
        ("scheme", Self::Scheme),
        ("recording", Self::Recording),
        ("seconds", Self::Seconds),
    ];
}

impl Text {
    /// Cuts a text at its variables. Unknown variables and lone braces are returned as the words of the error.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut wrong = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                literal.push_str(brace);
                rest = after;
            } else if let Some((name, after)) = rest.split_once('}').filter(|_| brace == "{") {
                rest = after;
                match Variable::ALL.iter().find(|(known, _)| *known == name) {
                    Some(&(_, variable)) => {
                        if !literal.is_empty() {
                            pieces.push(Piece::Literal(std::mem::take(&mut literal).into()));
                        }
                        pieces.push(Piece::Variable(variable));
                    }
                    None => wrong.push(format!("unknown variable {{{name}}}")),
                }
            } else {
                wrong.push(format!("a lone `{brace}`: write `{brace}{brace}` for the brace itself"));
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal.into()));
        }
        if wrong.is_empty() { Ok(Self(pieces)) } else { Err(wrong) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_at_variables_and_keeps_doubled_braces() {
        let text = Text::parse("от {caller} {{в}} {time}").unwrap();
        assert_eq!(
            text.0,
            [
                Piece::Literal("от ".into()),
                Piece::Variable(Variable::Caller),
                Piece::Literal(" {в} ".into()),
                Piece::Variable(Variable::Time),
            ]
        );
    }

    #[test]
    fn names_every_unknown_variable_and_lone_brace() {
        let wrong = Text::parse("{colour} of {caller} and }").unwrap_err();
        assert_eq!(wrong.len(), 2);
        assert!(wrong[0].contains("{colour}"));
    }
}
