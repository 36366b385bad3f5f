//! Names of places that everybody shares: which kind of column "in Germany" means.

/// What kind of place a column holds, or a name names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PlaceKind {
    Continent,
    Country,
    /// A city: what "in" leads to where nothing else is said.
    City,
    /// A state, region or district: must be said, as too many names could be one.
    Division,
}

const CONTINENTS: &str =
    "africa|antarctica|asia|europe|north america|south america|oceania|australia and oceania|latin america";

const COUNTRIES: &str = "afghanistan|albania|algeria|andorra|angola|argentina|armenia|australia|austria|azerbaijan|bahamas|\
    bahrain|bangladesh|barbados|belarus|belgium|belize|benin|bhutan|bolivia|bosnia and herzegovina|botswana|brazil|brunei|\
    bulgaria|burkina faso|burundi|cambodia|cameroon|canada|cape verde|central african republic|chad|chile|china|colombia|\
    comoros|congo|costa rica|croatia|cuba|cyprus|czech republic|czechia|denmark|djibouti|dominica|dominican republic|\
    ecuador|egypt|el salvador|england|equatorial guinea|eritrea|estonia|eswatini|ethiopia|fiji|finland|france|gabon|gambia|\
    germany|ghana|greece|grenada|guatemala|guinea|guyana|haiti|honduras|hungary|iceland|india|indonesia|iran|iraq|ireland|\
    israel|italy|ivory coast|jamaica|japan|jordan|kazakhstan|kenya|kiribati|kosovo|kuwait|kyrgyzstan|laos|latvia|lebanon|\
    lesotho|liberia|libya|liechtenstein|lithuania|luxembourg|madagascar|malawi|malaysia|maldives|mali|malta|mauritania|\
    mauritius|mexico|micronesia|moldova|monaco|mongolia|montenegro|morocco|mozambique|myanmar|namibia|nauru|nepal|\
    netherlands|new zealand|nicaragua|niger|nigeria|north korea|north macedonia|norway|oman|pakistan|palau|palestine|panama|\
    papua new guinea|paraguay|peru|philippines|poland|portugal|qatar|romania|russia|rwanda|samoa|san marino|saudi arabia|\
    scotland|senegal|serbia|seychelles|sierra leone|singapore|slovakia|slovenia|solomon islands|somalia|south africa|\
    south korea|south sudan|spain|sri lanka|sudan|suriname|sweden|switzerland|syria|taiwan|tajikistan|tanzania|thailand|\
    togo|tonga|trinidad and tobago|tunisia|turkey|turkmenistan|tuvalu|uganda|ukraine|united arab emirates|united kingdom|\
    united states|united states of america|uruguay|usa|us|uk|uzbekistan|vanuatu|vatican city|venezuela|vietnam|wales|yemen|\
    zambia|zimbabwe";

/// The kind of place that `name` is; what is neither a continent nor a country is taken for a city.
pub(super) fn kind_of_name(name: &str) -> PlaceKind {
    let lower = name.to_lowercase();
    let among = |list: &str| list.split('|').any(|place| place == lower);
    if among(CONTINENTS) {
        PlaceKind::Continent
    } else if among(COUNTRIES) {
        PlaceKind::Country
    } else {
        PlaceKind::City
    }
}

/// The name of a known country or continent as it is usually written, whatever case `name` is in.
pub(super) fn title_case(name: &str) -> Option<String> {
    if kind_of_name(name) == PlaceKind::City {
        return None;
    }
    let lower = name.to_lowercase();
    let titled = lower.split(' ').map(|word| {
        let mut characters = word.chars();
        match characters.next() {
            Some(first) if !matches!(word, "and" | "of") => first.to_uppercase().chain(characters).collect(),
            _ => word.to_string(),
        }
    });
    Some(titled.collect::<Vec<String>>().join(" "))
}

/// The kind of place that a column of these words holds.
pub(super) fn kind_of_column(words: &[String]) -> Option<PlaceKind> {
    words.iter().find_map(|word| match word.as_str() {
        "continent" => Some(PlaceKind::Continent),
        "country" | "nation" | "countryname" => Some(PlaceKind::Country),
        "city" | "town" | "hometown" | "location" | "municipality" => Some(PlaceKind::City),
        "region" | "province" | "district" | "county" | "state" => Some(PlaceKind::Division),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_countries_from_cities() {
        let check = |name: &str, expected: PlaceKind| assert_eq!(kind_of_name(name), expected, "{name}");
        check("Germany", PlaceKind::Country);
        check("new zealand", PlaceKind::Country);
        check("Asia", PlaceKind::Continent);
        check("Berlin", PlaceKind::City);
    }
}
