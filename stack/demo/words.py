"""The words that the demo's people, products and reviews are made of."""

from typing import NamedTuple


class Kind(NamedTuple):
    """A kind of product.

    Attributes:
        department: The upper category.
        category: The lower category.
        nouns: What is sold.
        materials: What it may be made of.
        price: From, to.
        good: What people like about it.
        bad: What people complain about.
        use: What they do with it.
    """

    department: str
    category: str
    nouns: tuple[str, ...]
    materials: tuple[str, ...]
    price: tuple[int, int]
    good: tuple[str, ...]
    bad: tuple[str, ...]
    use: tuple[str, ...]


KINDS = (
    Kind(
        "Kitchen", "Cookware",
        ("frying pan", "saucepan", "casserole", "wok", "griddle", "stock pot"),
        ("cast iron", "stainless steel", "enamelled steel", "carbon steel", "copper"),
        (24, 189),
        (
            "heats evenly right to the edge", "lets eggs slide off without any oil", "sears a steak beautifully",
            "goes from the hob straight into the oven", "cleans up with hot water and a brush",
            "holds its heat long after the flame is off",
        ),
        (
            "the handle gets far too hot to touch", "everything sticks after a month", "it warped on an induction hob",
            "the coating started to flake", "much too heavy to lift with one hand", "it rusted after the first wash",
        ),
        (
            "slow braised beef on Sundays", "pancakes for four children", "a quick stir fry after work",
            "tomato sauce by the litre", "searing salmon", "sourdough bread with a crust",
        ),
    ),
    Kind(
        "Kitchen", "Coffee and tea",
        ("espresso maker", "teapot", "hand grinder", "pour-over dripper", "milk jug", "gooseneck kettle"),
        ("glass", "porcelain", "stainless steel", "brushed aluminium", "stoneware"),
        (14, 149),
        (
            "makes every cup taste the same", "pours without a single drip", "keeps tea hot for an hour",
            "brings out the flavour", "feels good in the hand", "comes apart easily and rinses clean",
        ),
        (
            "the spout dribbles over the table", "the seal leaks steam", "the lid falls out while pouring",
            "coffee comes out lukewarm and bitter", "the glass cracked with boiling water", "it takes ages to grind",
        ),
        (
            "two flat whites every morning", "a pot of Earl Grey in the afternoon", "camping coffee at sunrise",
            "office coffee that is worth drinking", "loose leaf green tea", "espresso before the school run",
        ),
    ),
    Kind(
        "Kitchen", "Knives and boards",
        ("chef's knife", "bread knife", "paring knife", "chopping board", "cleaver", "knife block"),
        ("Damascus steel", "carbon steel", "walnut", "bamboo", "olive wood"),
        (12, 210),
        (
            "stays razor sharp for months", "sits beautifully in the hand", "makes light work of ripe tomatoes",
            "looks lovely on the worktop", "has not slipped once", "oozes craftsmanship",
        ),
        (
            "went blunt within a week", "the tip snapped off", "the board split along the glue line",
            "stains from beetroot never came out", "the handle works loose", "it arrived with a chipped edge",
        ),
        (
            "dicing onions by the bag", "carving the roast", "filleting trout", "slicing crusty loaves",
            "chopping herbs from the garden", "a mountain of carrots for soup",
        ),
    ),
    Kind(
        "Bedroom", "Bedding",
        ("duvet", "pillow", "fitted sheet", "blanket", "mattress topper", "duvet cover"),
        ("linen", "organic cotton", "merino wool", "goose down", "bamboo viscose"),
        (19, 320),
        (
            "feels soft from the very first night", "keeps me cool in summer", "lets me wake up without a stiff neck",
            "washes well and dries quickly", "feels wonderfully warm without the weight", "does not rustle at all",
        ),
        (
            "feathers poke out everywhere", "it shrank in the first wash", "makes me sweat all night",
            "went flat after two weeks", "the zip broke at once", "it smells of chemicals even after airing",
        ),
        (
            "a draughty old bedroom", "side sleepers", "a guest room that is seldom heated", "hot summer nights",
            "our toddler's first big bed", "reading until midnight",
        ),
    ),
    Kind(
        "Living room", "Lighting",
        ("floor lamp", "desk lamp", "pendant light", "reading light", "string lights", "bedside lamp"),
        ("brass", "oak", "smoked glass", "powder-coated steel", "rattan"),
        (16, 260),
        (
            "casts a warm, gentle light", "dims right down to a glow", "is bright enough to sew by",
            "does not flicker on video calls", "stays exactly where I put it", "looks dearer than it is",
        ),
        (
            "it buzzes when dimmed", "the switch is out of reach", "the cable is far too short",
            "flickers after an hour", "the shade was dented in the box", "the bulb cannot be replaced",
        ),
        (
            "reading in bed", "a dark corner by the sofa", "late evenings at the desk", "dinner on the terrace",
            "drawing and model making", "a hallway without windows",
        ),
    ),
    Kind(
        "Living room", "Furniture",
        ("side table", "bookcase", "armchair", "footstool", "coat stand", "shelf"),
        ("oak", "walnut", "ash", "recycled plywood", "bouclé"),
        (39, 690),
        (
            "was put together in twenty minutes", "is solid as a rock", "has cleanly made joints",
            "fits the alcove to the millimetre", "pleased the cat, who moved in at once", "has a lovely oil finish",
        ),
        (
            "two screws were missing", "it wobbles on a flat floor", "the veneer is peeling",
            "the holes did not line up", "smaller than the pictures suggest", "a leg broke on the second day",
        ),
        (
            "far too many cookery books", "feet up after work", "a narrow flat in the city", "coffee and the paper",
            "plants by the window", "wet coats in the hall",
        ),
    ),
    Kind(
        "Garden", "Tools",
        ("spade", "secateurs", "hoe", "watering can", "rake", "trowel", "wheelbarrow"),
        ("forged steel", "ash wood", "galvanised steel", "stainless steel", "copper"),
        (9, 145),
        (
            "feels as if it was made by a blacksmith", "copes with heavy clay", "suits small hands",
            "does in minutes what took an hour", "is easy on the back", "survived a winter outdoors",
        ),
        (
            "the blade bent on the first stone", "rust everywhere after one rain", "the spring pops out",
            "the handle splintered", "it leaks at the seam", "the tyre was flat on arrival",
        ),
        (
            "pruning roses", "digging over the allotment", "tomatoes on the balcony", "planting two hundred bulbs",
            "weeding between paving stones", "moving compost",
        ),
    ),
    Kind(
        "Garden", "Outdoors",
        ("hammock", "picnic blanket", "parasol", "fire bowl", "folding chair", "lantern"),
        ("canvas", "teak", "corten steel", "waxed cotton", "aluminium"),
        (18, 340),
        (
            "folds up small enough for the bike", "stood up to a proper storm", "dries in no time",
            "gets admired by everyone who visits", "makes a whole afternoon comfortable", "has not faded in the sun",
        ),
        (
            "the pole snapped in a light breeze", "colours bleached within a summer", "the legs sink into the lawn",
            "mould after one wet week", "impossible to fold back", "the stitching came apart",
        ),
        (
            "lazy Sundays under the apple tree", "festivals", "long evenings with friends", "lunch by the lake",
            "camping with teenagers", "shade for the sandpit",
        ),
    ),
    Kind(
        "Bathroom", "Towels and care",
        ("bath towel", "bath mat", "dressing gown", "soap dish", "shower curtain", "laundry basket"),
        ("organic cotton", "waffle linen", "willow", "stoneware", "hemp"),
        (8, 120),
        (
            "feels like a hotel", "dries overnight", "looks new even after thirty washes",
            "goes with everything in our bathroom", "is big enough for tall people", "makes the whole room look calm",
        ),
        (
            "leaves lint on everything", "scratchy from the start", "the colour ran and ruined a shirt",
            "smells musty however I dry it", "the hem unravelled", "curls up at the corners",
        ),
        (
            "the gym bag", "a family of five", "cold winter mornings", "a small bathroom without a window",
            "after swimming in the sea", "guests",
        ),
    ),
    Kind(
        "Study", "Stationery",
        ("notebook", "fountain pen", "desk organiser", "letter opener", "wall calendar", "leather folder"),
        ("recycled paper", "brass", "leather", "cork", "walnut"),
        (6, 95),
        (
            "lies easily in the hand", "makes me write more than before", "fits my bag exactly",
            "is a joy to use", "keeps the desk in order at last", "ages beautifully",
        ),
        (
            "the nib scratches and skips", "pages fall out", "ink leaked into my bag",
            "the cover bends", "smaller than a proper A5", "the pen dries out overnight",
        ),
        (
            "morning pages", "minutes of endless meetings", "sketching on trains", "letters to my grandmother",
            "bullet journaling", "recipes worth keeping",
        ),
    ),
)  # fmt: skip

LINES = (
    "Alder", "Birch", "Cedar", "Dune", "Ember", "Fjord", "Grove", "Haven", "Isle", "Juniper", "Kelp", "Larch",
    "Meadow", "Nordic", "Orchard", "Pine", "Quarry", "Ridge", "Sage", "Tide", "Umber", "Vale", "Willow", "Yarrow",
)  # fmt: skip
COLOURS = ("white", "black", "sand", "moss green", "navy", "terracotta", "grey", "natural", "mustard", "plum")
TAGS = ("new", "sale", "handmade", "recycled", "gift", "bestseller", "limited", "fair trade", "local", "vegan")

GIVEN = (
    "Ada", "Amir", "Anna", "Bela", "Carmen", "Chidi", "Clara", "Daniel", "Elif", "Emma", "Farah", "Felix", "Freya",
    "Grace", "Hana", "Henrik", "Ines", "Ivan", "Jonas", "Julia", "Kenji", "Lars", "Leila", "Lucia", "Marek", "Maria",
    "Mei", "Mohammed", "Nadia", "Niamh", "Noah", "Olga", "Omar", "Paul", "Priya", "Rafael", "Rosa", "Samuel", "Sara",
    "Sofia", "Tariq", "Thea", "Tomás", "Ursula", "Viktor", "Wanda", "Yara", "Yusuf", "Zoe", "Zofia",
)  # fmt: skip
FAMILY = (
    "Abbott", "Adeyemi", "Andersen", "Bauer", "Bianchi", "Castro", "Chen", "Costa", "Dubois", "Dvořák", "Eriksen",
    "Fernández", "Fischer", "García", "Haddad", "Hansen", "Hoffmann", "Ivanov", "Jansen", "Jensen", "Kaya", "Khan",
    "Kowalski", "Larsson", "Lindqvist", "Martin", "Meyer", "Moreau", "Müller", "Nguyen", "Novak", "O'Brien", "Okafor",
    "Olsen", "Patel", "Petrov", "Quinn", "Ricci", "Rossi", "Sato", "Schmidt", "Silva", "Singh", "Suzuki", "Tanaka",
    "Taylor", "Virtanen", "Weber", "Yildiz", "Zieliński",
)  # fmt: skip
CITIES = (
    ("Lisbon", "PT"), ("Porto", "PT"), ("Berlin", "DE"), ("Hamburg", "DE"), ("Leipzig", "DE"), ("Vienna", "AT"),
    ("Graz", "AT"), ("Zurich", "CH"), ("Lyon", "FR"), ("Nantes", "FR"), ("Ghent", "BE"), ("Utrecht", "NL"),
    ("Rotterdam", "NL"), ("Aarhus", "DK"), ("Bergen", "NO"), ("Malmö", "SE"), ("Turku", "FI"), ("Kraków", "PL"),
    ("Brno", "CZ"), ("Bologna", "IT"), ("Turin", "IT"), ("Valencia", "ES"), ("Bilbao", "ES"), ("Cork", "IE"),
    ("Leeds", "GB"), ("Bristol", "GB"), ("Glasgow", "GB"), ("Athens", "GR"), ("Ljubljana", "SI"), ("Tallinn", "EE"),
)  # fmt: skip

# By rating: a title, an opening, a closing. {line} is the product line, {noun} what it is.
TITLES = {
    1: ("Very disappointed", "Sent it back", "Do not buy", "Broken within days", "Not what was promised"),
    2: ("Expected more", "Looks better than it works", "Not worth the price", "A pity", "Poor quality"),
    3: ("Decent, with a catch", "It is all right", "Fine for the money", "Mixed feelings", "Does the job"),
    4: ("Very good", "Nearly perfect", "Happy with it", "Well made", "Would buy again"),
    5: ("Love it", "Best {noun} I have owned", "Worth every penny", "Simply excellent", "Perfect gift"),
}
OPENINGS = {
    1: (
        "I wanted to like the {line}, but I cannot.", "What a let-down.", "After three days this went in the bin.",
        "I have owned many a {noun}, and this is the worst of them.", "Save your money.",
    ),
    2: (
        "The {line} looks lovely in the pictures.", "I bought this because of the good reviews.",
        "It is not all bad.", "For this price I expected a better {noun}.", "My second {noun} from this shop.",
    ),
    3: (
        "An honest, average {noun}.", "I have had the {line} for about two months now.", "There are two sides to it.",
        "Not the best {noun}, not the worst.", "Bought on sale, so I will not complain too much.",
    ),
    4: (
        "A really solid {noun}.", "The {line} has been in daily use since spring.", "I took my time before reviewing.",
        "My sister recommended this.", "It replaced a much dearer {noun}.",
    ),
    5: (
        "I am over the moon with the {line}.", "Where has this been all my life?", "A {noun} for life.",
        "I have already bought a second one for my parents.", "Beautiful, useful and made to last.",
    ),
}  # fmt: skip
CLOSINGS = {
    1: (
        "Customer service never answered.", "I asked for a refund.", "Please, look elsewhere.",
        "Even the box was damaged.", "One star is generous.",
    ),
    2: (
        "I would not buy it again.", "At half the price it might be acceptable.", "Delivery at least was quick.",
        "It will end up in the cellar.", "The older model was better.",
    ),
    3: (
        "You get what you pay for.", "I will keep it for now.", "Good enough until something better comes along.",
        "Three stars from me.", "With a little care it works.",
    ),
    4: (
        "One star off for the packaging.", "Recommended.", "I would give four and a half if I could.",
        "Delivery took a week, but it was worth the wait.", "No regrets so far.",
    ),
    5: (
        "Could not be happier.", "Thank you for the handwritten note in the parcel!", "Buy it, you will not regret it.",
        "It arrived in two days, wrapped in paper instead of plastic.", "My partner wants one too.",
    ),
}  # fmt: skip

# The demo team's projects: what is done, to what, and why.
ACTIONS = ("Rebuild", "Launch", "Plan", "Measure", "Simplify", "Move", "Document", "Redesign", "Automate", "Review")
SUBJECTS = (
    ("the checkout", "Fewer customers should give up between the basket and the payment."),
    ("the newsletter", "Readers asked for fewer mails with more in them."),
    ("the warehouse map", "Pickers walk eight kilometres a day; half of it is searching."),
    ("the search page", "People look for 'sofa' and we only know 'settee'."),
    ("the spring catalogue", "Forty pages, printed on recycled paper, out by the first of March."),
    ("the loyalty card", "A stamp for every order, and a tree for every tenth."),
    ("the returns desk", "A parcel that comes back should be on the shelf again the next day."),
    ("the photo studio", "One set of pictures for the shop, the catalogue and the press."),
    ("the supplier portal", "Suppliers see their orders, and stop calling about them."),
    ("the opening hours", "Saturday mornings are crowded, Tuesday evenings are empty."),
)
