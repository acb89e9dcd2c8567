"""Words in every language: marks, letter case, and scripts without spaces."""

import json
import sys
import unicodedata
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import bm25s
import pytest
import Stemmer
from hypothesis import given
from hypothesis import strategies as st

from zero2ir.data import words
from zero2ir.data.languages import LANGUAGES
from zero2ir.data.records import Document
from zero2ir.data.words import has_stemmer, join_words, segmentation, split_words, tokenize, word_places
from zero2ir.encoders.corpus import Corpus
from zero2ir.errors import InputError
from zero2ir.models.sparse import Sparse

SENTENCES = {  # by language: a sentence, and words of it as a query
    "ar": ("ضع قطرة زيت على كل حلقة من السلسلة", "زيت السلسلة"),
    "az": ("Velosiped zəncirinin hər halqasına bir damla yağ tökün", "ZƏNCİRİNİN YAĞ"),
    "bg": ("Капнете масло върху всяко звено на веригата", "МАСЛО веригата"),
    "bn": ("সাইকেলের চেইনের প্রতিটি কড়িতে এক ফোঁটা তেল দিন", "চেইনের তেল"),
    "ca": ("Poseu una gota d'oli a cada anella de la cadena", "oli cadena"),
    "cs": ("Na každý článek řetězu kápněte kapku oleje", "olej ŘETĚZ"),
    "da": ("Dryp en dråbe olie på hvert led af kæden", "olie kæde"),
    "de": ("Auf jedes Glied der Kette gehört ein Tropfen Öl, sonst wird sie groß und rostig", "ÖL GROSS"),
    "el": ("Ρίξτε μια σταγόνα λάδι σε κάθε κρίκο της αλυσίδας", "ΛΑΔΙ ΑΛΥΣΙΔΑ"),
    "en": ("Put a drop of oil on every link of the chain", "oil chains"),
    "eo": ("Metu guton da oleo sur ĉiun ĉeneron", "OLEO ĈENEROJ"),
    "es": ("Ponga una gota de aceite en cada eslabón de la cadena", "ACEITE ESLABONES"),
    "et": ("Tilguta igale keti lülile tilk õli", "ÕLI keti"),
    "eu": ("Jarri olio tanta bat katearen maila bakoitzean", "OLIO maila"),
    "fa": ("روی هر حلقه‌ی زنجیر یک قطره روغن بریزید", "روغن زنجیر"),
    "fi": ("Tiputa tippa öljyä ketjun jokaiseen lenkkiin", "ÖLJY ketju"),
    "fr": ("Mettez une goutte d'huile sur chaque maillon de la chaîne", "HUILE MAILLONS"),
    "ga": ("Cuir braon ola ar gach lúb den slabhra", "ola SLABHRA"),
    "he": ("טפטפו טיפת שמן על כל חוליה בשרשרת", "שמן בשרשרת"),
    "hi": ("साइकिल की चेन पर हर कड़ी में तेल की एक बूंद डालिए।", "चेन में तेल"),
    "hr": ("Kapnite kap ulja na svaku kariku lanca", "ULJA lanca"),
    "hu": ("Cseppentsen egy csepp olajat a lánc minden szemére", "OLAJ lánc"),
    "hy": ("Շղթայի յուրաքանչյուր օղակի վրա մեկ կաթիլ յուղ կաթեցրեք", "ՅՈՒՂ օղակ"),
    "id": ("Teteskan setetes minyak pada setiap mata rantai", "MINYAK rantai"),
    "it": ("Mettete una goccia d'olio su ogni maglia della catena", "OLIO CATENE"),
    "ja": ("チェーンの一コマごとに油を一滴さしてください。", "油 ﾁｪｰﾝ"),
    "km": ("ដាក់ប្រេងមួយដំណក់លើច្រវាក់នីមួយៗ", "ប្រេង"),
    "ko": ("자전거 체인의 마디마다 기름을 한 방울씩 떨어뜨리세요.", "체인 기름"),
    "lo": ("ຢອດນ້ຳມັນໃສ່ໂສ້ທຸກຂໍ້", "ໂສ້"),
    "lt": ("Ant kiekvienos grandinės grandies užlašinkite lašą alyvos", "ALYVOS grandinė"),
    "lv": ("Uz katra ķēdes posma uzpiliniet eļļas pilienu", "EĻĻAS ķēdes"),
    "mr": ("साखळीच्या प्रत्येक कडीवर तेलाचा एक थेंब टाका", "तेलाचा थेंब"),
    "my": ("ချိန်းကြိုး၏အဆစ်တိုင်းတွင်ဆီတစ်စက်ထည့်ပါ", "ဆီ"),
    "ne": ("साइकलको चेनको हरेक कडीमा एक थोपा तेल हाल्नुहोस्", "चेनको तेल"),
    "nl": ("Doe een druppel olie op elke schakel van de ketting", "OLIE SCHAKELS"),
    "no": ("Drypp en dråpe olje på hvert ledd i kjedet", "OLJE kjede"),
    "pl": ("Na każde ogniwo łańcucha nałóż kroplę oleju", "OLEJU ŁAŃCUCH"),
    "pt": ("Ponha uma gota de óleo em cada elo da corrente", "ÓLEO correntes"),
    "ro": ("Puneți o picătură de ulei pe fiecare za a lanțului", "ULEI LANȚ"),
    "ru": ("Капните каплю масла на каждое звено цепи", "МАСЛО ЦЕПЬ"),
    "sk": ("Na každý článok reťaze kvapnite kvapku oleja", "OLEJA reťaze"),
    "sl": ("Na vsak člen verige kanite kapljico olja", "OLJA verige"),
    "sr": ("Капните кап уља на сваку карику ланца", "УЉЕ ланац"),
    "sv": ("Droppa en droppe olja på varje länk i kedjan", "OLJA LÄNKAR"),
    "ta": ("சங்கிலியின் ஒவ்வொரு கண்ணியிலும் ஒரு சொட்டு எண்ணெய் விடவும்", "எண்ணெய் சங்கிலி"),
    "te": ("గొలుసు ప్రతి లింకుపై ఒక చుక్క నూనె వేయండి", "నూనె గొలుసు"),
    "th": ("หยดน้ำมันลงบนโซ่จักรยานทีละข้อ", "น้ำมัน โซ่"),
    "tr": ("Zincirin her halkasına bir damla yağ damlatın; ISLAK zincir paslanır", "ZİNCİRİN ıslak"),
    "uk": ("Капніть краплю олії на кожну ланку ланцюга", "ОЛІЇ ланцюга"),
    "ur": ("زنجیر کی ہر کڑی پر تیل کا ایک قطرہ ڈالیں", "زنجیر تیل"),
    "vi": ("Nhỏ một giọt dầu lên mỗi mắt xích", "DẦU xích"),
    "yi": ("לייגט אַ טראָפּן בוימל אויף יעדן רינגל פֿון דער קייט", "בוימל קייט"),
    "zh": ("给链条的每一节滴一滴油,然后擦掉多余的油。", "链条 油"),
}
OTHERS = [
    "Lorem ipsum dolor sit amet",
    "هذا نص عن شيء مختلف",
    "今天天气很好",
    "今日は天気がいい",
    "วันนี้อากาศดีมาก",
    "오늘은 날씨가 좋다",
]


@pytest.fixture(params=["rjieba", "characters"])
def chinese_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Chinese words by rjieba, and without it."""
    words._jieba.cache_clear()
    if request.param == "characters":
        monkeypatch.setitem(sys.modules, "rjieba", None)
    yield request.param
    words._jieba.cache_clear()


def test_every_language_has_a_sentence_here() -> None:
    assert SENTENCES.keys() == LANGUAGES.keys()


@pytest.mark.parametrize("code", SENTENCES)
def test_a_search_finds_a_sentence_of_each_language_by_its_words(code: str, chinese_by: str) -> None:
    sentence, query = SENTENCES[code]
    corpus = Corpus([Document(str(n), "", text) for n, text in enumerate([*OTHERS, sentence])], language=code)
    ranking = Sparse().index(corpus).search([query, *query.split(), sentence], 1)
    assert (ranking.numbers[:, 0] == len(OTHERS)).all()


@pytest.mark.parametrize("code", SENTENCES)
def test_places_are_those_of_the_words_in_the_text(code: str, chinese_by: str) -> None:
    text = SENTENCES[code][0]
    places = word_places(text, code, grams=(1,))
    assert places == sorted(places)
    assert all(before[1] <= after[0] for before, after in pairwise(places))
    covered = {n for start, end in places for n in range(start, end)}
    assert all(n in covered for n, (letter, after) in enumerate(pairwise(text)) if letter.isalpha() and after.isalpha())


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        ("en", "How many points did the defence give up?", ["mani", "point", "did", "defenc", "give", "up"]),
        ("es", "¿Cuántos puntos dejaron?", ["cuant", "punt", "dej"]),
        ("zh", "黑豹队的防守丢了多少分？", ["黑豹", "队", "防守", "丢", "分"]),
        ("sw", "Habari za asubuhi", ["habari", "za", "asubuhi"]),
        ("hi", "आधुनिक मानक हिन्दी भाषा", ["आधुनिक", "मानक", "हिन्द", "भाष"]),
        ("de", "STRASSE Straße GROẞE große Fahr\u00adrad", ["strass", "strass", "gross", "gross", "fahrrad"]),
        ("tr", "İSTANBUL ISPARTA", ["istanbul", "ıspar"]),
        ("el", "ΟΔΟΣ οδός", ["οδ", "οδ"]),
        ("fa", "می‌خواهم", ["می", "خواهم"]),
        ("bn", "র‍্যাম", ["র্যাম"]),  # with a joiner
        ("ko", "책을 읽다", ["책을", "책", "읽다", "읽", "다"]),
    ],
)
def test_words_are_split_and_stemmed_as_the_language_asks(code: str, text: str, expected: list[str]) -> None:
    assert set(expected) <= set(tokenize([text], code)[0])
    assert not {"of", "the", "los", "的", "了"} & set(tokenize([text], code)[0])


@pytest.mark.parametrize(
    ("code", "vowelled", "plain"),
    [
        ("ar", "كَتَبَ الكِتَابَ", "كتب الكتاب"),
        ("ar", "اِبْحَثْ عَنِ الثُّقْبِ", "ابحث عن الثقب"),
        ("ar", "كـــتاب", "كتاب"),  # lengthened
        ("he", "לַעֲשׂוֹת עוֹד שָׁלוֹם", "לעשות עוד שלום"),
        ("fa", "کِتاب", "کتاب"),
        ("ur", "زَنجِیر", "زنجیر"),
        ("en", "the word كِتاب", "the word كتاب"),
    ],
)
def test_vowel_points_make_no_difference(code: str, vowelled: str, plain: str) -> None:
    assert tokenize([vowelled], code) == tokenize([plain], code)
    assert len(tokenize([plain], code)[0]) == len(plain.split()) - (code == "en")


@given(st.text(alphabet="áéíóúñüàç aeiou", max_size=30))
def test_composed_and_decomposed_accents_give_the_same_words(text: str) -> None:
    assert tokenize([unicodedata.normalize("NFD", text)], "es") == tokenize([text], "es")


@given(st.text(alphabet=st.characters(max_codepoint=0x2FF)))
def test_english_tokens_are_those_of_bm25s(text: str) -> None:
    text = text.replace("İ", "I")  # whose lower case has a combining dot
    expected = bm25s.tokenize(
        [text], stopwords="en", stemmer=Stemmer.Stemmer("english"), return_ids=False, show_progress=False
    )
    assert tokenize([text]) == expected


def test_other_scripts_in_an_english_text_are_split_as_well(chinese_by: str) -> None:
    found = set(tokenize(["The Hindi word हिन्दी, İstanbul, and 自転車 in Japanese"])[0])
    assert {"हिन्दी", "istanbul"} <= found
    assert tokenize(["自転車"])[0][0] in found


@given(st.text(), st.sampled_from(["en", "hi", "tr", "zh", "ja", "ko", "xx"]))
def test_any_text_has_words_and_places(text: str, code: str) -> None:
    assert all(all(found) for found in tokenize([text], code))
    assert all(0 <= start < end <= len(text) for start, end in word_places(text, code))


def test_a_program_says_by_what_its_words_were_split(chinese_by: str, tmp_path: Path) -> None:
    assert segmentation("zh") == chinese_by
    corpus = Corpus([Document("1", "", SENTENCES["zh"][0])])
    Sparse().index(corpus).save(tmp_path)
    assert Sparse.load(tmp_path, corpus).search(["链条"], 1).numbers[0, 0] == 0
    state = json.loads((tmp_path / "vocabulary.json").read_text(encoding="utf-8"))
    (tmp_path / "vocabulary.json").write_text(json.dumps(state | {"words_by": "other"}), encoding="utf-8")
    with pytest.raises(InputError, match=rf"its Chinese words were split by 'other', here by {chinese_by}; install"):
        Sparse.load(tmp_path, corpus)


def test_languages_without_a_stemmer_are_known() -> None:
    without = ["az", "bg", "bn", "he", "hr", "lv", "mr", "sk", "sl", "te", "uk", "ur"]
    assert [code for code in LANGUAGES if not has_stemmer(code)] == without


@pytest.mark.parametrize("code", ["zh", "ja", "th", "my", "km", "lo"])
def test_texts_without_spaces_are_cut_into_characters_and_joined_again(code: str) -> None:
    text = SENTENCES[code][0]
    pieces = split_words(text)
    assert len(pieces) > len(text.split()) + 4
    assert join_words(pieces) == text
    assert all(len(piece.strip()) == len(piece) for piece in pieces)


@given(st.text(alphabet=st.characters(max_codepoint=0x3FF)))
def test_texts_with_spaces_are_cut_at_white_space(text: str) -> None:
    assert split_words(text) == text.split()
    assert join_words(text.split()) == " ".join(text.split())
    assert split_words("The city of 北京 is large") == ["The", "city", "of", "北京", "is", "large"]


def test_a_repeated_word_is_one_string() -> None:
    first, second = tokenize(["Running, and running", "it runs"])
    assert first == ["run", "run"]
    assert first[0] is first[1]
    assert second == ["run"]
