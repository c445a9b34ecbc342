"""Words of English by which conversations are read, without apostrophes."""

from __future__ import annotations

import re

_WORD = re.compile("[a-z]+")

# Words that name no title by themselves, nor beside each other.
COMMON = frozenset(
    _WORD.findall(
        "a about after again all also always am an and another any anybody anyone anything are around as at away "
        "back bad be beautiful because been before being best better between big both boy but by call can come "
        "could day days did different do does done down else end even ever every everybody everyone everything "
        "family far father few fine first for four friday friend friends from fun funny game get girl girls give "
        "go good great guy had happy hard has have he hello help her here him his hold home hour house how i if in "
        "into is it its just kids kind know last late later less life like list little long look looking lot lots "
        "love made make man many maybe me men mind mine minutes monday more most mother much must my myself name "
        "never new next nice night no nobody none not nothing now of off ok old older on once one only open or "
        "other others our out over own part party people play please pretty put rather really red right room run "
        "same saturday saw say see seen she short should show side since so some somebody someone something "
        "sometimes son soon still stop story stuff such sunday sure take talk tell than thank thanks that the their "
        "them then there these they thing things think this those thought three through time times to today together "
        "tomorrow tonight too town true try two under until up us use very wait walk want war was watch way we "
        "weekend well went were what when where which while who why wife will with woman women wonder wonderful "
        "word work world would wrong year years yes yesterday you young your"
    )
)

# Words before a title: what follows is one.
CUES = frozenset(_WORD.findall("adore adored enjoy enjoyed like liked likes love loved loves saw seen than watched"))

# Words that make what stands before them a kind of film, not a title.
KINDS = frozenset(_WORD.findall("film films flick flicks movie movies show shows stuff"))

# Words that deny what follows them in their clause.
NEGATIVE = frozenset(
    _WORD.findall(
        "arent avoid avoiding bored cant didnt dislike disliked dislikes doesnt dont except exclude excluding hate "
        "hated hates isnt less minus neither never no none nor not nothing remove sick skip tired unlike wasnt without "
        "wont"
    )
)

# Words that say what somebody has seen or not, which is no verdict.
SEEN = frozenset(_WORD.findall("heard saw see seen watched"))

# Words that take back what was said before, either way.
BACK = frozenset(_WORD.findall("cancel disregard drop forget ignore scratch undo"))

# Words that make a thing too much of itself: what is "not too scary" may be scary.
DEGREE = frozenset(_WORD.findall("overly particularly so that too very"))

# Words that say that something may be.
FINE = frozenset(_WORD.findall("acceptable alright fine ok okay"))

# Words of a list.
JOINING = frozenset(_WORD.findall("a also an and any nor or the too with"))

# Words that say what something is.
BEING = frozenset(_WORD.findall("are arent be is isnt was were"))

# Words by which a sentence tells something of what it begins with.
VERBS = ("are", "has", "have", "is", "offers", "was", "were")

# Words of which small talk is made.
GREETING = frozenset(
    _WORD.findall(
        "a afternoon again all alright and appreciate are awesome bye cheers ciao cool day doing evening everyone "
        "everything farewell fine folks for going good goodbye great greetings guys haha have hello help hey hi "
        "hiya hope how howdy hows i im is it its later lol lot morning much nice night no nope of ok okay one "
        "perfect please pleasure see so sup sure talk thank thanks thats the there thx to today tonight up very "
        "was welcome well what whats wow yeah yep yes you your"
    )
)

THANKS = frozenset(_WORD.findall("appreciate cheers thank thanks thx"))

# Words that end a conversation, or thank for it.
PARTING = THANKS | frozenset(_WORD.findall("bye ciao farewell goodbye later"))

# Words that say that something is wanted, and not what.
FILLER = frozenset(
    _WORD.findall(
        "a about add again all also am an and another any anything are as at bad be because been best better but "
        "by bye can cancel could couple did different disregard do does dont drop during eight else enjoy enjoyed "
        "especially etc ever favorite favourite feel few fifth film films find fine first five for forget four "
        "fourth from funniest get give go good great had hate hated have havent hear heard hello help hey hi how "
        "i id if ignore ill im in instead into is it its ive just keep kind kinds know last less let like liked "
        "likes little long looking lot lots love loved loves made make many may maybe me mean mind mood more most "
        "movie movies much my need never new newer nice nine no not now of off oh ok okay older on one ones only "
        "or other others our out please prefer preferably pretty probably rather really recommend recommendation "
        "recommendations recommended remove right same saw say scratch second see seen set seven several should "
        "show similar since six so some someone something sort still such suggest suggestion suggestions sure "
        "tell ten than thank thanks that the their them then there these they thing things think third this those "
        "though three time to today tonight too try two type types undo us very want wanted wants was watch "
        "watched watching way we well were what whatever when which while who will with without wont would yeah "
        "yes yet you your"
    )
)

# Words before a tag that make it somebody's own: to watch with my family is no family film.
WHOSE = frozenset(_WORD.findall("anti her his my our post pre their whole entire your"))
