//! The providers, as data.

use std::time::Duration;

use Class::{Overloaded, QuotaSpent, RampLimited, RateLimited, Transient};

use super::{Auth, Dialect, Provider};
use crate::{Charging, Class, Dimension, Terminal};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// "Error codes" and "Rate limits" in Model Studio's documentation. There
/// `insufficient_quota`, which is OpenAI's word for money, means the tokens of a minute, which come back.
const DASHSCOPE: &[(&str, Class)] = &[
    ("throttling_allocationquota", RateLimited),
    ("insufficient_quota", RateLimited),
    ("limit_requests", RateLimited),
    ("throttling_burstrate", RampLimited),
    ("commoditynotpurchased", QuotaSpent),
    ("prepaidbilloverdue", QuotaSpent),
    ("postpaidbilloverdue", QuotaSpent),
    ("allocationquota_freetieronly", QuotaSpent),
    ("accessdenied_unpurchased", Class::Terminal(Terminal::Forbidden)),
    ("requesttimeout", Transient),
    ("responsetimeout", Transient),
];

/// "Error codes" in the documentation of Z.AI and `BigModel`. The message of 1305 says that the service is overloaded.
const ZHIPU: &[(&str, Class)] = &[
    ("1000", Class::Terminal(Terminal::Auth)),
    ("1001", Class::Terminal(Terminal::Auth)),
    ("1002", Class::Terminal(Terminal::Auth)),
    ("1003", Class::Terminal(Terminal::Auth)),
    ("1004", Class::Terminal(Terminal::Auth)),
    ("1110", Class::Terminal(Terminal::Auth)),
    ("1111", Class::Terminal(Terminal::Auth)),
    ("1112", Class::Terminal(Terminal::Auth)),
    ("1113", QuotaSpent),
    ("1120", Transient),
    ("1121", Class::Terminal(Terminal::Auth)),
    ("1210", Class::Terminal(Terminal::BadRequest)),
    ("1211", Class::Terminal(Terminal::NotFound)),
    ("1212", Class::Terminal(Terminal::BadRequest)),
    ("1213", Class::Terminal(Terminal::BadRequest)),
    ("1214", Class::Terminal(Terminal::BadRequest)),
    ("1215", Class::Terminal(Terminal::BadRequest)),
    ("1220", Class::Terminal(Terminal::Forbidden)),
    ("1221", Class::Terminal(Terminal::NotFound)),
    ("1222", Class::Terminal(Terminal::NotFound)),
    ("1230", Transient),
    ("1234", Transient),
    ("1261", Class::Terminal(Terminal::ContextLength)),
    ("1300", Class::Terminal(Terminal::Forbidden)),
    ("1301", Class::Terminal(Terminal::ContentFilter)),
    ("1302", RateLimited),
    ("1303", RateLimited),
    ("1304", QuotaSpent),
    ("1305", Overloaded),
    ("1308", QuotaSpent),
    ("1309", QuotaSpent),
    ("1310", QuotaSpent),
    ("1311", Class::Terminal(Terminal::Forbidden)),
    ("1312", Overloaded),
    ("1313", RateLimited),
];

/// "Errors" in Moonshot's documentation.
const MOONSHOT: &[(&str, Class)] = &[
    ("incorrect_api_key_error", Class::Terminal(Terminal::Auth)),
    ("access_terminated_error", Class::Terminal(Terminal::Auth)),
    ("exceeded_current_quota_error", QuotaSpent),
    ("rate_limit_reached_error", RateLimited),
    ("engine_overloaded_error", Overloaded),
];

/// "Error codes" in `SiliconFlow`'s documentation, and what its replies hold.
const SILICONFLOW: &[(&str, Class)] = &[
    ("20012", Class::Terminal(Terminal::NotFound)),
    ("20015", Class::Terminal(Terminal::BadRequest)),
    ("30001", QuotaSpent),
    ("50501", Transient),
    ("50505", Overloaded),
    ("50603", Overloaded),
];

/// Types of refusals of the gateway itself, "Error Reference" in `LiteLLM`'s documentation.
const LITELLM: &[(&str, Class)] = &[
    ("budget_exceeded", QuotaSpent),
    ("auth_error", Class::Terminal(Terminal::Auth)),
    ("token_not_found_in_db", Class::Terminal(Terminal::Auth)),
    ("expired_key", Class::Terminal(Terminal::Auth)),
    ("key_model_access_denied", Class::Terminal(Terminal::Forbidden)),
    ("team_model_access_denied", Class::Terminal(Terminal::Forbidden)),
    ("user_model_access_denied", Class::Terminal(Terminal::Forbidden)),
    ("org_model_access_denied", Class::Terminal(Terminal::Forbidden)),
    ("no_db_connection", Transient),
];

/// `error_type` and `metadata.limit_source` in "Errors and Debugging" and "Limits" of OpenRouter's documentation.
const OPENROUTER: &[(&str, Class)] = &[
    // One request that costs more than may be in flight at all.
    ("weight_exceeds_budget", Class::Terminal(Terminal::TooLarge)),
    ("in_flight_budget_exhausted", RateLimited),
    ("openrouter_in_flight_budget", RateLimited),
    ("openrouter_guardrail_budget", QuotaSpent),
    ("openrouter_workspace_budget", QuotaSpent),
    ("openrouter_key_limit", QuotaSpent),
    ("provider_overloaded", Overloaded),
];

/// "API errors" in the documentation of the Gemini API, for its newer interactions: a daily quota has a code of its own.
const GEMINI: &[(&str, Class)] = &[("quota_exceeded", QuotaSpent), ("model_capacity_exhausted", Overloaded)];

/// "Rate limits" in Groq's documentation: requests are counted by the day, tokens by the minute.
const GROQ_WINDOWS: &[(Dimension, Duration)] = &[(Dimension::Requests, DAY), (Dimension::Tokens, MINUTE)];

impl Provider {
    /// All providers that this crate knows.
    pub const ALL: &'static [Provider] = &[
        Provider::openai(),
        Provider::openai_responses(),
        Provider::openai_embeddings(),
        Provider::anthropic(),
        Provider::gemini(),
        Provider::azure_openai(),
        Provider::mistral(),
        Provider::groq(),
        Provider::openrouter(),
        Provider::deepseek(),
        Provider::dashscope(),
        Provider::moonshot(),
        Provider::zhipu(),
        Provider::siliconflow(),
        Provider::ollama(),
        Provider::vllm(),
        Provider::sglang(),
        Provider::litellm(),
        Provider::openai_compatible(),
        Provider::http(),
    ];

    /// The provider of this [`name`](Provider::name), such as `openrouter`.
    pub fn named(name: &str) -> Option<Provider> {
        Provider::ALL.iter().find(|provider| provider.name == name).copied()
    }

    /// OpenAI, with chats.
    pub const fn openai() -> Provider {
        Provider {
            name: "openai",
            dialect: Dialect::Chat,
            base_url: Some("https://api.openai.com/v1"),
            chat_path: "/chat/completions",
            stream_path: None,
            auth: Auth::Bearer,
            key_env: Some("OPENAI_API_KEY"),
            default_headers: &[],
            documents_idempotency: false,
            charging: Some(Charging::Estimate),
            cached_tokens_are_free: false,
            max_tokens: "max_completion_tokens",
            has_stream_options: true,
            codes: &[],
            windows: &[],
        }
    }

    /// OpenAI, with responses: `/responses`.
    pub const fn openai_responses() -> Provider {
        Provider {
            name: "openai_responses",
            dialect: Dialect::Responses,
            chat_path: "/responses",
            ..Provider::openai()
        }
    }

    /// OpenAI, with embeddings: `/embeddings`.
    pub const fn openai_embeddings() -> Provider {
        Provider {
            name: "openai_embeddings",
            dialect: Dialect::Embeddings,
            chat_path: "/embeddings",
            ..Provider::openai()
        }
    }

    /// Anthropic.
    pub const fn anthropic() -> Provider {
        Provider {
            name: "anthropic",
            dialect: Dialect::Messages,
            base_url: Some("https://api.anthropic.com/v1"),
            chat_path: "/messages",
            auth: Auth::Header("x-api-key"),
            key_env: Some("ANTHROPIC_API_KEY"),
            default_headers: &[("anthropic-version", "2023-06-01")],
            charging: Some(Charging::Settle),
            cached_tokens_are_free: true,
            ..Provider::openai()
        }
    }

    /// Gemini, in its own format. The model is in the path, and whether the answer comes as a stream
    /// ("models.generateContent" and "models.streamGenerateContent" in its API reference). Its requests in OpenAI's
    /// format are read as well.
    pub const fn gemini() -> Provider {
        Provider {
            name: "gemini",
            dialect: Dialect::Gemini,
            base_url: Some("https://generativelanguage.googleapis.com/v1beta"),
            chat_path: "/models/{model}:generateContent",
            stream_path: Some("/models/{model}:streamGenerateContent?alt=sse"),
            auth: Auth::Header("x-goog-api-key"),
            key_env: Some("GEMINI_API_KEY"),
            codes: GEMINI,
            ..Provider::openai_compatible()
        }
    }

    /// Azure OpenAI, at `https://RESOURCE.openai.azure.com`. The model is the name of the deployment, which is in the
    /// path ("Azure OpenAI REST API reference", version `2024-10-21`). For the address without versions say
    /// `.with_chat_path("/openai/v1/chat/completions")`.
    pub const fn azure_openai() -> Provider {
        Provider {
            name: "azure_openai",
            base_url: None,
            chat_path: "/openai/deployments/{model}/chat/completions?api-version=2024-10-21",
            auth: Auth::Header("api-key"),
            key_env: Some("AZURE_OPENAI_API_KEY"),
            ..Provider::openai()
        }
    }

    /// Mistral. Its headers name the windows of its limits.
    pub const fn mistral() -> Provider {
        Provider {
            name: "mistral",
            base_url: Some("https://api.mistral.ai/v1"),
            key_env: Some("MISTRAL_API_KEY"),
            ..Provider::openai_compatible()
        }
    }

    /// Groq. Its headers count requests by the day and tokens by the minute.
    pub const fn groq() -> Provider {
        Provider {
            name: "groq",
            base_url: Some("https://api.groq.com/openai/v1"),
            key_env: Some("GROQ_API_KEY"),
            cached_tokens_are_free: true,
            max_tokens: "max_completion_tokens",
            windows: GROQ_WINDOWS,
            ..Provider::openai_compatible()
        }
    }

    /// OpenRouter.
    pub const fn openrouter() -> Provider {
        Provider {
            name: "openrouter",
            base_url: Some("https://openrouter.ai/api/v1"),
            key_env: Some("OPENROUTER_API_KEY"),
            codes: OPENROUTER,
            ..Provider::openai_compatible()
        }
    }

    /// `DeepSeek`.
    pub const fn deepseek() -> Provider {
        Provider {
            name: "deepseek",
            base_url: Some("https://api.deepseek.com"),
            key_env: Some("DEEPSEEK_API_KEY"),
            has_stream_options: true,
            ..Provider::openai_compatible()
        }
    }

    /// Alibaba's Model Studio (Qwen), in OpenAI's format. Outside of China its address is
    /// `https://dashscope-intl.aliyuncs.com/compatible-mode/v1`.
    pub const fn dashscope() -> Provider {
        Provider {
            name: "dashscope",
            base_url: Some("https://dashscope.aliyuncs.com/compatible-mode/v1"),
            key_env: Some("DASHSCOPE_API_KEY"),
            has_stream_options: true,
            codes: DASHSCOPE,
            ..Provider::openai_compatible()
        }
    }

    /// Moonshot (Kimi). In China its address is `https://api.moonshot.cn/v1`.
    pub const fn moonshot() -> Provider {
        Provider {
            name: "moonshot",
            base_url: Some("https://api.moonshot.ai/v1"),
            key_env: Some("MOONSHOT_API_KEY"),
            codes: MOONSHOT,
            ..Provider::openai_compatible()
        }
    }

    /// Zhipu's `BigModel` (GLM). Outside of China it is Z.AI, at `https://api.z.ai/api/paas/v4`.
    pub const fn zhipu() -> Provider {
        Provider {
            name: "zhipu",
            base_url: Some("https://open.bigmodel.cn/api/paas/v4"),
            key_env: Some("ZHIPUAI_API_KEY"),
            codes: ZHIPU,
            ..Provider::openai_compatible()
        }
    }

    /// `SiliconFlow`. In China its address is `https://api.siliconflow.cn/v1`.
    pub const fn siliconflow() -> Provider {
        Provider {
            name: "siliconflow",
            base_url: Some("https://api.siliconflow.com/v1"),
            key_env: Some("SILICONFLOW_API_KEY"),
            codes: SILICONFLOW,
            ..Provider::openai_compatible()
        }
    }

    /// Ollama, in its own format: `/api/chat`, whose streams are lines of JSON. Its `/v1/chat/completions` is read as
    /// well.
    pub const fn ollama() -> Provider {
        Provider {
            name: "ollama",
            dialect: Dialect::Ollama,
            base_url: Some("http://127.0.0.1:11434"),
            chat_path: "/api/chat",
            key_env: Some("OLLAMA_API_KEY"),
            ..Provider::openai_compatible()
        }
    }

    /// vLLM, on its default port.
    pub const fn vllm() -> Provider {
        Provider {
            name: "vllm",
            base_url: Some("http://127.0.0.1:8000/v1"),
            key_env: Some("VLLM_API_KEY"),
            has_stream_options: true,
            ..Provider::openai_compatible()
        }
    }

    /// `SGLang`, on its default port.
    pub const fn sglang() -> Provider {
        Provider {
            name: "sglang",
            base_url: Some("http://127.0.0.1:30000/v1"),
            key_env: None,
            has_stream_options: true,
            ..Provider::openai_compatible()
        }
    }

    /// `LiteLLM`'s proxy, whose address is the caller's to give.
    pub const fn litellm() -> Provider {
        Provider {
            name: "litellm",
            key_env: Some("LITELLM_API_KEY"),
            charging: Some(Charging::Actual),
            has_stream_options: true,
            codes: LITELLM,
            ..Provider::openai_compatible()
        }
    }

    /// Any server that takes OpenAI's requests. Its address is the caller's to give.
    pub const fn openai_compatible() -> Provider {
        Provider {
            name: "openai_compatible",
            base_url: None,
            charging: None,
            max_tokens: "max_tokens",
            has_stream_options: false,
            ..Provider::openai()
        }
    }

    /// Any HTTP server. Only the status and the headers decide. Nothing is read from bodies but a message to show. A stream
    /// is complete when it ends.
    pub const fn http() -> Provider {
        Provider {
            name: "http",
            dialect: Dialect::Plain,
            chat_path: "",
            key_env: None,
            ..Provider::openai_compatible()
        }
    }
}
