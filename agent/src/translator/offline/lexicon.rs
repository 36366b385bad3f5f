//! The words of English that say what is wanted, whatever the database is about: no table, column or value stands here.

use std::collections::HashMap;
use std::sync::LazyLock;

/// What a word or phrase does in a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Says nothing of its own: articles, auxiliaries, politeness.
    Filler,
    /// `a`, `any`: filler that tells "with a phone" from "with their phone".
    Indefinite,
    /// `list`, `show`.
    Show,
    /// `how many`, `number of`.
    Count,
    Aggregate(Aggregate),
    /// `highest`, `lowest`, `most`, `fewest`: the end of an order that the following words name.
    Extreme(Direction),
    /// An end of an order that the word itself names, like `cheapest`.
    Ranked(Direction, Quality),
    /// `newest`, `last`: by time of creation, latest first.
    Newest,
    /// `first`, `earliest`.
    Earliest,
    /// `created`, `placed`: how rows come to be; says that a time is that of creation.
    Created,
    /// `top`, `bottom`: needs an order.
    Top(Direction),
    Distinct,
    /// `per`, `for each`.
    Each,
    By,
    /// `sorted by`.
    SortBy,
    /// `sort`: the order is named later.
    Sort,
    /// `in descending order`, `from high to low`.
    Order(Direction),
    /// `newest first`.
    NewestFirst(Direction),
    Compare(Comparison),
    /// A comparison that names its own column, like `older than`.
    CompareQuality(Comparison, Quality),
    Between,
    And,
    Or,
    Not,
    /// `without`, `that have no`.
    Without,
    /// `with`, `whose`, `that`: a condition follows.
    Link,
    /// `in`, `from`, `at`: a place or time may follow.
    Place,
    /// `of`, `for`: what belongs to what.
    Of,
    /// `called`.
    Named,
    /// `all columns`, `details`.
    Everything,
    /// A word whose meaning this translator doesn't build; it abstains on it.
    OutOfScope,
}

/// The way an order runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Direction {
    Ascending,
    Descending,
}

/// A function over many rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aggregate {
    Sum,
    Average,
    Minimum,
    Maximum,
}

/// How a column compares with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    /// The comparison that holds where this one doesn't.
    pub(super) fn negated(self) -> Self {
        match self {
            Self::Equal => Self::NotEqual,
            Self::NotEqual => Self::Equal,
            Self::Less => Self::GreaterOrEqual,
            Self::LessOrEqual => Self::Greater,
            Self::Greater => Self::LessOrEqual,
            Self::GreaterOrEqual => Self::Less,
        }
    }
}

/// A quality that an adjective measures; which column holds it is looked up by the words of `columns_of`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quality {
    Price,
    Age,
    Weight,
    Height,
    Length,
    Speed,
    Population,
}

/// Words of columns that hold a quality, and of columns that hold its opposite (the earlier the birth, the higher the age).
pub(super) fn columns_of(quality: Quality) -> (&'static [&'static str], &'static [&'static str]) {
    match quality {
        Quality::Price => (&["price", "cost"], &[]),
        Quality::Age => (&["age"], &["birth date", "birthday", "date of birth", "birthdate"]),
        Quality::Weight => (&["weight"], &[]),
        Quality::Height => (&["height"], &[]),
        Quality::Length => (&["length", "duration"], &[]),
        Quality::Speed => (&["speed"], &[]),
        Quality::Population => (&["population"], &[]),
    }
}

/// Phrases by what they do; words are lower-case and separated by one space.
const PHRASES: &[(Role, &str)] = &[
    (
        Role::Filler,
        "the|please|me|us|we|i|you|all|is|are|was|were|be|been|being|do|does|did|has|have|had|there|can|could|would|\
         like|to see|to|it|its|their|they|them|his|her|our|my|your|these|those|this|also|only|just|so|then|now|currently|\
         in total|in the database|in our database|on record|on file|in the system|exist|exists|listed|recorded|stored|\
         corresponding|respective|associated|different kinds of|as well|along|who|what|which|want|need|know|tell|am|\
         and also|rows of|records of|entries of|row|rows|record|records|entries|value|values|respectively|given|overall|\
         live|lives|living|located|situated|based|come|comes|belong|belongs|belonging|be found|ones|total number|\
         across|what are|what is|what were|who are|which are|right|each other|together with|contain|contains|contained|\
         whole|entire|available|some|kind of|shown|using|use|uses|used",
    ),
    (Role::Indefinite, "a|an|any"),
    (
        Role::Show,
        "show|list|give|display|return|get|find|fetch|retrieve|see|print|present|report|provide|select|show me|give me|tell me",
    ),
    (
        Role::Count,
        "how many|number of|count the number of|count the|count|count of|total number of|total count of|amount of times|numbers of|how many of",
    ),
    (Role::Aggregate(Aggregate::Sum), "total|sum|sum of|combined|summed|overall total"),
    (Role::Aggregate(Aggregate::Average), "average|mean|avg|average of|mean of|on average"),
    (Role::Extreme(Direction::Descending), "highest|largest|greatest|biggest|maximum|max|most|maximal"),
    (Role::Extreme(Direction::Ascending), "lowest|smallest|least|fewest|minimum|min|minimal"),
    (
        Role::Ranked(Direction::Descending, Quality::Price),
        "most expensive|priciest|costliest|dearest|most costly|highest priced",
    ),
    (Role::Ranked(Direction::Ascending, Quality::Price), "cheapest|least expensive|lowest priced|most affordable"),
    (Role::Ranked(Direction::Descending, Quality::Age), "eldest|oldest"),
    (Role::Ranked(Direction::Ascending, Quality::Age), "youngest"),
    (Role::Ranked(Direction::Descending, Quality::Weight), "heaviest"),
    (Role::Ranked(Direction::Ascending, Quality::Weight), "lightest"),
    (Role::Ranked(Direction::Descending, Quality::Height), "tallest"),
    (Role::Ranked(Direction::Descending, Quality::Length), "longest"),
    (Role::Ranked(Direction::Ascending, Quality::Length), "shortest"),
    (Role::Ranked(Direction::Descending, Quality::Speed), "fastest"),
    (Role::Ranked(Direction::Ascending, Quality::Speed), "slowest"),
    (Role::Ranked(Direction::Descending, Quality::Population), "most populous|most populated"),
    (Role::Ranked(Direction::Ascending, Quality::Population), "least populous|least populated"),
    (Role::Newest, "last|latest|newest|most recent|recent|most recently created|most recently added|recently created"),
    (Role::Earliest, "first|earliest"),
    (Role::Created, "created|added|registered|signed up|joined|placed|made|opened|submitted|who joined|who signed up"),
    (Role::Top(Direction::Descending), "top"),
    (Role::Top(Direction::Ascending), "bottom"),
    (Role::Distinct, "distinct|different|unique|various"),
    (
        Role::Each,
        "per|for each|for every|each|every|in each|in every|of each|of every|by each|grouped by|group by|broken down by|at each|from each|on each",
    ),
    (Role::By, "by|according to"),
    (
        Role::SortBy,
        "sorted by|ordered by|order by|sort by|sorted in|ordered in|ranked by|in order of|in the order of|order them by|sort them by|\
         order the results by|sort the results by",
    ),
    (Role::Sort, "sort|sorted|ordered|arranged|arrange|sort them|order them"),
    (
        Role::Order(Direction::Ascending),
        "ascending|asc|ascending order|in ascending order|in increasing order|increasing order|alphabetically|\
         in alphabetical order|alphabetical order|in alphabetical order of|in ascending order of|in ascending order by|\
         in ascending alphabetical order|from low to high|from lowest to highest|lowest first|smallest first|from small to large|\
         in lexicographical order|cheapest first|from young to old|from youngest to oldest|from smallest to largest|\
         from a to z|in increasing order of",
    ),
    (
        Role::Order(Direction::Descending),
        "descending|desc|descending order|in descending order|in decreasing order|decreasing order|from high to low|\
         from highest to lowest|highest first|largest first|in descending order of|in descending order by|from old to young|\
         from oldest to youngest|from large to small|from largest to smallest|in reverse alphabetical order|most expensive first|\
         in decreasing order of|in descending alphabetical order",
    ),
    (Role::NewestFirst(Direction::Descending), "newest first|latest first|most recent first"),
    (Role::NewestFirst(Direction::Ascending), "oldest first|earliest first"),
    (Role::Compare(Comparison::Equal), "=|==|equal to|equals|equal|exactly"),
    (Role::Compare(Comparison::NotEqual), "!=|<>|≠|other than|different from|except|excluding|not equal to|not equals"),
    (
        Role::Compare(Comparison::Greater),
        ">|more than|greater than|over|above|higher than|larger than|bigger than|exceeding|exceeds|after|later than|longer than|beyond",
    ),
    (
        Role::Compare(Comparison::GreaterOrEqual),
        ">=|≥|at least|no less than|not less than|since|no fewer than|from at least|greater than or equal to|more than or equal to|\
         starting from|as of",
    ),
    (
        Role::Compare(Comparison::Less),
        "<|less than|fewer than|under|below|lower than|smaller than|before|earlier than|shorter than|prior to",
    ),
    (
        Role::Compare(Comparison::LessOrEqual),
        "<=|≤|at most|no more than|not more than|up to|until|less than or equal to|fewer than or equal to|no later than",
    ),
    (Role::CompareQuality(Comparison::Greater, Quality::Age), "older than|above the age of|over the age of|older"),
    (Role::CompareQuality(Comparison::Less, Quality::Age), "younger than|below the age of|under the age of|younger"),
    (
        Role::CompareQuality(Comparison::Greater, Quality::Price),
        "more expensive than|costing more than|dearer than|priced over|priced above|that cost more than",
    ),
    (
        Role::CompareQuality(Comparison::Less, Quality::Price),
        "cheaper than|costing less than|less expensive than|priced under|priced below|that cost less than",
    ),
    (Role::CompareQuality(Comparison::Greater, Quality::Weight), "heavier than|weighing more than|weigh more than"),
    (Role::CompareQuality(Comparison::Less, Quality::Weight), "lighter than|weighing less than|weigh less than"),
    (Role::CompareQuality(Comparison::Greater, Quality::Height), "taller than"),
    (Role::Between, "between|ranging from|in the range"),
    (Role::And, "and|&|as well as|along with|plus"),
    (Role::Or, "or"),
    (Role::Not, "not|isn't|aren't|wasn't|weren't|don't|doesn't|didn't|non"),
    (
        Role::Without,
        "without|with no|that have no|who have no|which have no|having no|lacking|missing|that do not have|who do not have|\
         that don't have|who don't have|that have not|without any|do not have|does not have|has no|have no|with missing",
    ),
    (
        Role::Link,
        "with|whose|that|where|having|for which|in which|when|while|if|that has|that have|who has|who have|which has|which have",
    ),
    (Role::Place, "in|from|at|on|inside|within|during|into|out of|through|via"),
    (Role::Of, "of|for|about|among|over all|from all|for all|of all"),
    (Role::Named, "named|called|titled|with the name|with name|whose name is|by the name of|with the title|name is"),
    (
        Role::Everything,
        "information|details|detail|all the information|all information|all details|all columns|everything|all fields|info|all info|full details|data",
    ),
    (
        Role::OutOfScope,
        "ratio|percent|percentage of|share of|proportion|difference|differ|both|either|neither|nor|but|median|variance|versus|vs|\
         compared|correlation|rank|rolling|cumulative|growth|trend|never|always|than|same|than average|above average|below average|\
         most common|most popular|most frequent|least common|start with|starts with|starting with|ends with|end with|contain the|like the|%|\
         per day|per week|per month|per year|per quarter|each day|each week|each month|every month|by month|by week|by day|by quarter|\
         monthly|weekly|daily|yearly|annual|annually|standard deviation|second|third|fourth|first name|last name|how much|how long|how old|why|how|when did",
    ),
];

/// The longest phrase in words.
pub(super) const LONGEST: usize = 5;

/// The role of a phrase in lower case, its words separated by one space.
pub(super) fn role(phrase: &str) -> Option<Role> {
    static ROLES: LazyLock<HashMap<String, Role>> = LazyLock::new(|| {
        let each = |(role, phrases): &(Role, &'static str)| {
            phrases.split('|').map(|p| (p.to_string(), *role)).collect::<Vec<_>>()
        };
        PHRASES.iter().flat_map(each).collect()
    });
    ROLES.get(phrase).copied()
}

/// Nouns that mean the same in most databases; used where a word itself matches nothing.
const SYNONYMS: &[&[&str]] = &[
    &["user", "customer", "client", "member", "buyer", "shopper"],
    &["order", "purchase"],
    &["product", "item", "article", "good"],
    &["price", "cost"],
    &["category", "type", "kind"],
    &["country", "nation"],
    &["city", "town"],
    &["employee", "worker", "staff"],
    &["email", "mail", "e mail"],
    &["phone", "telephone"],
    &["shop", "store"],
    &["picture", "image", "photo"],
    &["salary", "wage", "pay"],
    &["movie", "film"],
    &["song", "track"],
    &["teacher", "instructor"],
    &["doctor", "physician"],
    &["car", "vehicle"],
    &["company", "firm", "business"],
    &["stock", "inventory"],
    &["location", "place"],
    &["supplier", "vendor"],
    &["comment", "remark", "note"],
    &["state", "status"],
    &["rating", "score", "stars"],
];

/// Other words for a word's stem, as stems.
pub(super) fn synonyms(stem: &str) -> &'static [String] {
    static BY_STEM: LazyLock<HashMap<String, Vec<String>>> = LazyLock::new(|| {
        let mut by_stem: HashMap<String, Vec<String>> = HashMap::new();
        for group in SYNONYMS {
            let stems: Vec<String> = group.iter().map(|word| super::words::stem(word)).collect();
            for stem in &stems {
                by_stem.entry(stem.clone()).or_default().extend(stems.iter().filter(|other| *other != stem).cloned());
            }
        }
        by_stem
    });
    BY_STEM.get(stem).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_no_phrase_twice_with_two_roles_and_none_too_long() {
        let mut seen: HashMap<&str, Role> = HashMap::new();
        for (role, phrases) in PHRASES {
            for phrase in phrases.split('|') {
                assert!(phrase.split(' ').count() <= LONGEST, "{phrase} is longer than LONGEST");
                if let Some(other) = seen.insert(phrase, *role) {
                    panic!("{phrase} is both {other:?} and {role:?}");
                }
            }
        }
    }

    #[test]
    fn finds_other_words() {
        assert_eq!(synonyms("price"), ["cost"]);
        assert!(synonyms("frobnicate").is_empty());
    }
}
