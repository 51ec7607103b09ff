r"""How providers say that a request does not fit the model's context window: data only.

A rule is a provider (``None``: wording several share) and a regular expression over the
*normalised* text: casefolded, NFKC, quotes and backslashes removed, white space folded, digit
grouping removed (``1,048,576`` is ``1048576``). In an expression

* ``<limit>``, ``<used>``, ``<prompt>`` and ``<output>`` stand for a number that is learned,
* ``~`` stands for up to 80 characters of anything.

The first rule that matches gives the numbers, so the telling ones come first.
"""

from __future__ import annotations

Rule = tuple[str | None, str]

#: The wording of known providers.
RULES: tuple[Rule, ...] = (
    # OpenAI and everything that speaks like it.
    (
        "openrouter",
        r"maximum context length is <limit> tokens~requested about <used> tokens"
        r" \(<prompt> of text input(?:~<output> in the output)?",
    ),
    (
        "vllm",
        r"is too large: <output>\. this models maximum context length is <limit> tokens"
        r" and your request has <prompt> input tokens",
    ),
    (
        "vllm",
        r"maximum context length is <limit> tokens\. however, you requested <output> output"
        r" tokens and your prompt contains (?:at least )?<prompt> input tokens,"
        r" for a total of (?:at least )?<used>",
    ),
    (
        "vllm",
        r"passed <prompt> input (?:tokens|characters)~requested <output> output tokens~"
        r"context length is only <limit> tokens",
    ),
    ("vllm", r"max_(?:completion_)?tokens must be at least 1, got -\d+"),
    (
        "vllm",
        r"(?:decoder )?prompt \(length <prompt>\) is longer than the maximum model length"
        r" of <limit>",
    ),
    (
        "openai",
        r"maximum context length is <limit> tokens~you requested (?:about )?<used> ?tokens"
        r" \(<prompt> in (?:the messages|your prompt)[,;] <output> (?:in|for) the completion",
    ),
    (
        "openai",
        r"maximum context length is <limit> tokens~"
        r"(?:you requested|resulted in|contains?|has|have) (?:about |at least )?<used> ?"
        r"(?:input )?tokens",
    ),
    ("openai", r"context length is <limit> tokens"),
    ("openai", r"input tokens exceed the configured limit of <limit> tokens~resulted in <used>"),
    ("openai", r"input tokens exceed the configured limit of <limit>"),
    ("openai", r"input exceeds the context window of this model"),
    ("github", r"request body too large for ~max size: <limit> tokens"),
    ("github", r"prompt token count of <used> exceeds the limit of <limit>"),
    # Anthropic
    ("anthropic", r"prompt is too long: <used> tokens > <limit> maximum"),
    ("anthropic", r"max_tokens exceeds? context limit: <prompt> \+ <output> > <limit>"),
    ("anthropic", r"request exceeds the maximum size|total text bytes"),
    # Google
    (
        "google",
        r"input token count (?:\(<used>\) )?(?:is <used_2> but model only supports up to"
        r" <limit_2>|exceeds the maximum number of tokens allowed \(?<limit>)",
    ),
    ("google", r"exceeds the maximum number of tokens allowed(?: \(?<limit>)?"),
    ("google", r"request payload size exceeds"),
    # Bedrock's families
    ("bedrock", r"input is too long for (?:the )?requested model"),
    ("bedrock", r"input tokens exceeded"),
    ("bedrock", r"prompt tokens \(<used>\) exceed model maximum \(<limit>\)"),
    # Others
    ("mistral", r"prompt contains <used> tokens~too large for model with <limit> maximum context"),
    ("cohere", r"too many tokens: size limit exceeded by"),
    ("cohere", r"too many tokens: total number of tokens~cannot exceed <limit> ~received <used>"),
    ("xai", r"maximum prompt length is <limit> but the request contains <used> tokens"),
    ("xai", r"maximum prompt length"),
    ("groq", r"reduce the length of the messages"),
    ("cerebras", r"current length is <used> while limit is <limit>"),
    ("together", r"input \(<used> tokens\) is longer than the models context length \(<limit>"),
    (
        "tgi",
        r"inputs tokens \+ max_new_tokens must be <= <limit>\. given: <prompt> inputs tokens"
        r" and <output> max_new_tokens",
    ),
    ("tgi", r"inputs tokens \+ max_new_tokens must be <=(?: <limit>)?"),
    ("tgi", r"inputs must have less than <limit> tokens\. given: <used>"),
    ("llama.cpp", r"request \(<used> tokens\) exceeds the available context size \(<limit>"),
    ("llama.cpp", r"exceeds? the available context size"),
    ("llama.cpp", r"requested tokens \(<used>\) exceed context window of <limit>"),
    ("llama.cpp", r"prompt tokens \(<used>\) exceeds? context size \(<limit>\)"),
    ("ollama", r"input length exceeds~context length|exceeded (?:max )?context length by"),
    (
        "lmstudio",
        r"keep the first <used> tokens ~context (?:the )?overflows~"
        r"context length of only <limit>",
    ),
    (
        "lmstudio",
        r"initial prompt is greater than the context length~\(n_keep: <used>"
        r"(?: ?>= ?n_ctx: <limit>)?",
    ),
    ("lmstudio", r"keep the first ~context (?:the )?overflows"),
    ("dashscope", r"range of input length should be \[\d+, ?<limit>\]"),
    ("moonshot", r"exceeded model token limit: <limit> \(requested: <used>\)"),
    ("moonshot", r"exceeded model token limit(?:: <limit>)?"),
    ("minimax", r"context window exceeds limit(?: \(2013\))?"),
    ("zhipu", r"prompt exceeds max length|prompt 超长"),
    ("baidu", r"prompt tokens too long|the max (?:input characters|length of current question)"),
    ("ds4", r"prompt has <used> tokens, but the configured context size is <limit>"),
    ("bedrock", r"malformed input request: (?:#/\w+: )?expected maxlength: \d+, actual: \d+"),
    ("openai", r"requested <used> tokens, max <limit> tokens per request"),
    ("snowflake", r"max tokens of <limit> exceeded"),
    ("watsonx", r"number of input tokens <used> cannot exceed the total tokens limit <limit>"),
    ("tabbyapi", r"(?:prompt|context) length <used> is greater than max_seq_len <limit>"),
)

_WINDOW = (
    r"(?:(?:context|ctx)[ _-]?(?:window|length|size|limit|len|capacity|budget|tokens?)"
    r"|(?:maximum|max|models?)[ _-](?:allowed |supported |permitted )?"
    r"(?:context|prompt|input|sequence)(?:[ _-](?:length|tokens?|token count|size|len))?\b"
    r"|n_ctx|num_ctx|max_model_len|max_seq_len|max_position_embeddings|session_len"
    r"|(?:sequence|input|prompt) (?:token )?(?:length|limit))"
)
_OVER = (
    r"(?:exceed|overflow|overrun|too (?:long|large|big|many)|longer|larger|greater|bigger"
    r"|more (?:tokens )?than|beyond|surpass|not fit|(?:doesnt|cant|wont) fit|unable to fit"
    r"|fit (?:in|with)|run out|ran out|not enough (?:room|space)|past what"
    r"|out of|runs over|over the|above|outgrow|\bfull\b|exhausted)"
)
_ASKED = (
    r"(?:prompt|conversation|chat history|message history|messages|dialog(?:ue)?|transcript"
    r"|context|input|request|query|text)"
)
_COUNT = r"(?:(?:input|prompt|total|context|message|request)[ _-]?tokens?|tokens|token count)"
_CAP = r"(?:limit|maxim|\bmax\b|allowed|allows|support|permit|capacity|context|accept|can handle)"

#: What a provider nobody has heard of would say. Tried after :data:`RULES`.
GENERAL: tuple[Rule, ...] = (
    (None, rf"{_WINDOW}~{_OVER}"),
    (None, rf"{_OVER}~{_WINDOW}"),
    (
        None,
        r"\b(?:prompt|conversation|chat history|message history|context)"
        r"(?: length| size)?(?: is| was| has become| became| grew| got)?"
        r" too (?:long|large|big)",
    ),
    (None, rf"\b{_ASKED}\b~too (?:long|large|big)~(?:tokens|\bmodel|context)"),
    (None, r"\btoo (?:long|large|big) (?:a |an )?(?:prompt|conversation|context)\b"),
    (
        None,
        rf"{_WINDOW}~<limit>(?: tokens)?~(?:requested|has|have|got|sent|contains?|received)~<used>",
    ),
    (
        None,
        rf"\b{_ASKED}\b~<used>(?: tokens?)?~(?:limit|max|reduce to|at most|only|hold|up to| of )"
        r"~<limit>",
    ),
    (
        None,
        r"上下文~<limit>~(?:请求|输入|当前|实际)~<used>|精简(?:对话|上下文)|缩短(?:对话|上下文)",
    ),
    (
        None,
        r"\b(?:prompt|conversation|messages|history)\b~(?:exceed|surpass|longer than|larger than"
        r"|beyond)~(?:tokens|length|limit|size|model)",
    ),
    (None, r"\b413\b.{0,20}(?:request|payload|content|entity)~too large"),
    (None, r"(?:error code|status|status[ _]code)[ :=]{1,3}413\b"),
    (None, r"context (?:is|was) (?:full|exhausted|exceeded)"),
    (None, r"exceed~models? token (?:capacity|limit|budget|maximum)"),
    (None, r"context[ _-]?overflow|available context size -\d"),
    (
        None,
        r"(?:length|size) of (?:the |your )?(?:messages|prompt|input)~too (?:long|big)",
    ),
    (
        None,
        r"(?:message|prompt|input|text)s? you (?:submitted|sent|entered) (?:is|was|are) too long",
    ),
    (None, r"(?:input|prompt|context)[ _-]?tokens? limit~(?:exceed|reach)"),
    (None, r"\btoo many (?:input |prompt |context |total |message )?tokens"),
    (None, rf"{_COUNT}~(?:exceed|greater|larger|more than|over|above|beyond|surpass|>)~{_CAP}"),
    (None, rf"(?:exceed|surpass|beyond|over|above)~{_CAP}~{_COUNT}"),
    (
        None,
        r"(?<!api )(?<!access )(?<!auth )(?<!refresh )(?:model )?tokens? limit"
        r"~(?:exceed|reached|surpass)",
    ),
    (
        None,
        r"(?:exceed|reached|surpass)(?:ed|s|ing)? (?:the |its |this )?(?:models? )?"
        r"(?:maximum |max )?token limit",
    ),
    (
        None,
        r"(?:reduce|shorten|trim|truncate|cut)\b (?:the |your )?(?:length |size )?(?:of )?"
        r"(?:the |your )?(?:input|prompt|messages|conversation|chat history|context)\b",
    ),
    (None, rf"\b{_ASKED}\b~(?:less|fewer|at most|no more than|up to|<=|≤|<)~<limit> tokens"),
    (
        None,
        rf"\b{_ASKED}\b~(?:has|have|contains?|is|was|of|with) <used> tokens~"
        r"(?:only|limit|max|at most|up to)~<limit>",
    ),
    (
        None,
        r"(?:input|prompt|context)[ _-](?:length|tokens?) (?:must|should|may|can)"
        r"(?: not| only)? (?:be |exceed)",
    ),
    # Other languages, casefolded: ß is ss.
    (None, r"上下文.{0,30}(?:超|过长|太长|溢出|不足|已满)|超.{0,24}上下文"),
    (
        None,
        r"(?:输入|提示词?|prompt|消息|对话).{0,20}(?:过长|太长|超长|超出|超过)|请求.{0,20}(?:过长|超长)",
    ),
    (None, r"超(?:出|过).{0,20}(?:最大(?:输入)?长度|最大.{0,6}token|token.{0,4}(?:上限|限制))"),
    (None, r"token.{0,12}(?:超出|超过|过多|超限)"),
    (None, r"コンテキスト.{0,40}(?:超|長すぎ|オーバー)"),
    (None, r"(?:プロンプト|入力|トークン).{0,40}(?:長すぎ|超え|超過)"),
    (None, r"(?:컨텍스트|프롬프트|입력|토큰).{0,40}(?:초과|너무 ?(?:길|깁|긴|많))"),
    (None, r"kontext(?:länge|fenster|grösse|limit)~(?:überschr|überst|zu |reicht)"),
    (None, r"überschr~kontext|dépass~contexte|превы~контекст"),
    (None, r"(?:eingabe|anfrage|prompt|unterhaltung) ist zu lang|zu viele token"),
    (None, r"(?:contexte|invite|entrée|requête|conversation)~(?:dépass|trop long)"),
    (
        None,
        r"(?:contexto|entrada|prompt|conversaci[oó]n|conversa)~"
        r"(?:exced|supera|sobrepasa|ultrapass|demasiado larg|muito long|long[oa] demais)",
    ),
    (None, r"(?:exced|supera|sobrepasa|ultrapass)~contexto"),
    (None, r"(?:контекст|промпт|запрос|токен)~(?:превы|слишком (?:длин|мног))"),
)

#: Codes, types, stop reasons and class names, casefolded, letters and digits only.
CODES: tuple[Rule, ...] = (
    ("llama.cpp", r"exceedcontextsize"),
    ("anthropic", r"^requesttoolarge|^modelcontextwindowexceeded$"),
    ("github", r"^tokenslimitreached$"),
    ("mistral", r"^3051$|^modellength$"),
    ("cohere", r"^errorlimit$"),
    (
        None,
        r"context(?:window|length|size|limit|tokens?)?(?:limit)?"
        r"(?:exceed|overflow|toolong|toolarge|reached)",
    ),
    (None, r"exceed(?:s|ed|ing)?(?:the|max|maximum|model)*context"),
    (None, r"(?:prompt|input|messages|conversation)(?:is)?too(?:long|large)"),
    (None, r"toomany(?:input|prompt)tokens|(?:input|prompt)tokens?(?:limit)?exceed"),
)

#: Texts that are about something else, whatever else they say: a text, and what excuses it.
REFUSED: tuple[tuple[str, str | None], ...] = (
    (
        r"\b(?:tokens?|requests?|usage|input|queries|calls) ?(?:/|per|each|every|in a) ?"
        r"(?:sec(?:ond)?|min(?:ute)?|hour|day|week|month)s?\b",
        None,
    ),
    (r"\b(?:i|o)?tp[mdh]\b|\brp[mdh]\b", None),
    (r"(?<!x-)\brate limit|rate_limit_(?:exceeded|error|reached)", None),
    (r"ratelimit(?:ed|error|exceeded)", None),
    (r"too many requests|throttl|wait before trying again|server is overloaded", None),
    (
        r"\b(?:exceed|insufficient|over|out of|reached|used|remaining)[^.]{0,40}\bquota"
        r"|\bquota[ _](?:has|is|exceed|limit|reach|metric|for)",
        None,
    ),
    (
        r"(?<!-)\b(?:daily|hourly|weekly|monthly|per-minute|per-day)\b(?!-)[^.]{0,30}"
        r"(?:token|usage|limit|input|allowance)",
        None,
    ),
    (
        r"(?:token|usage) (?:limit|allowance|budget)[^.]{0,30}(?:today|this (?:day|week|month|hour)"
        r"|for the (?:day|week|month)|your (?:plan|account|organi[sz]ation|subscription|team))",
        None,
    ),
    (
        r"can only afford|more credits|(?:insufficient|out of|no) (?:credits?|balance|funds)"
        r"|long context (?:beta|requests)",
        None,
    ),
    (r"string_above_max_length|string too long\. expected a string", None),
    (r"string should have at most", None),
    (
        r"max_?(?:completion_?|output_?|new_?)?tokens\b[^.]{0,40}"
        r"(?:too (?:large|high|big)|> ?\d+|valid range|must be (?:less|<|at most|between|smaller)"
        r"|exceeds?\b|cannot (?:exceed|be greater)|should be|maximum value|supports? at most)",
        r"context (?:length|limit|window|size) (?:is|of)|context limit:|input tokens|inputs tokens"
        r"|prompt tokens",
    ),
    (
        r"(?:range|value) of max_?\w*tokens|invalid (?:value for )?max_?\w*tokens|budget_?tokens"
        r"|at most \d+ (?:completion|output) tokens",
        None,
    ),
    (r"maximum tokens (?:you requested|value)", None),
    (
        r"(?:exceed|reach)\w* (?:the )?(?:max\w* )?(?:output|completion|response) tokens?"
        r"|(?:output|completion|generated|response|reasoning) tokens?(?: count| limit)? "
        r"(?:exceed|limit|reached)",
        r"input tokens|prompt",
    ),
    (
        r"(?:image|file|audio|video|attachment|document|upload|pdf)s?\b(?! tokens)[^.]{0,40}"
        r"(?:too large|exceeds?|too big|larger than)[^.]{0,40}"
        r"(?:\b[kmg]i?b\b|bytes|size|pixels)",
        None,
    ),
    (r"received message larger than max|context deadline|deadline exceeded", None),
    (r"频率|速率|限流|配额|额度|余额|每分钟|每日|每天|每秒|并发|请求过多|频繁", None),
    (r"レート制限|1分あたり|1日あたり|요청 한도|분당|일일|할당량", None),
)

#: Codes, types and class names that are about something else; same form as :data:`CODES`.
REFUSED_CODES = (
    r"ratelimit|quota|throttl|toomanyrequests|resourceexhausted|stringabovemaxlength"
    r"|insufficientbalance|overloaded|billing"
)

#: What stands before a number that is the limit, or the use, in an unknown wording.
LIMITS = (
    r"(?:maxim\w*|\bmax\b\.?|limit\w*|at most|up to|allow\w*|window|context (?:size|length)"
    r"|capacity|n_ctx|num_ctx|kontextfenster|contexte|上下文|コンテキスト\w*?"
    r"|only|no more than|cannot exceed|<=|≤|supports?|최대|最大\w*?|上限\w*?"
    r"|限制\w*?)[^\d.]{0,40}?<limit>|\bexceeds? (?:the )?<limit_2>"
)
USED = (
    r"(?:requested|resulted in|contain\w*|\bhas\b|\bhave\b|\bgot\b|given|received|provided|sent"
    r"|passed|current\w*|actual|but (?:was|is)|实际\w*?|当前\w*?)"
    r"(?:(?!lim|max)[^\d.]){0,20}<used>"
    r"|(?<!maximum )(?<!max )(?<!allowed )(?:prompt|input)(?: tokens?| length)? ?[(:=] ?<used_2>"
)
