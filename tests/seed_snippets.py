"""Every YAML and shell snippet of the session storage guide, as it is printed there."""

from __future__ import annotations

# The four scenarios

GATEWAY_A = """\
# WebUI Gateway Configuration
session_service:
  type: "sql"
  database_url: "${WEB_UI_GATEWAY_DATABASE_URL}"
"""

AGENT_A = """\
# Agent Configuration
session_service:
  type: "sql"
  database_url: "${AGENT_DATABASE_URL, sqlite:///agent-session.db}"
  default_behavior: "PERSISTENT"
"""

GATEWAY_B = """\
# WebUI Gateway Configuration
session_service:
  type: "memory"
"""

AGENT_B = """\
# Agent Configuration
session_service:
  type: "memory"
"""

GATEWAY_C = """\
# WebUI Gateway Configuration
session_service:
  type: "memory"  # No database
"""

AGENT_C = """\
# Agent Configuration
session_service:
  type: "sql"
  database_url: "${AGENT_DATABASE_URL}"
  default_behavior: "PERSISTENT"
"""

GATEWAY_D = """\
# WebUI Gateway Configuration
session_service:
  type: "sql"
  database_url: "${WEB_UI_GATEWAY_DATABASE_URL}"
"""

AGENT_D = """\
# Agent Configuration
session_service:
  type: "memory"  # No database
"""

# The gateway's variables and file

EXPORT_KEY = """\
export SESSION_SECRET_KEY="your-secret-key-here"
"""

EXPORT_GATEWAY = """\
export WEB_UI_GATEWAY_DATABASE_URL="postgresql://user:pass@host:5432/webui_db"
"""

EXPORT_PLATFORM = """\
export PLATFORM_DATABASE_URL="postgresql://user:pass@host:5432/platform_db"
"""

EXPORT_PLATFORM_SQLITE = """\
export PLATFORM_DATABASE_URL="sqlite:///platform.db"
"""

GATEWAY_AND_PLATFORM = """\
session_service:
  type: "sql"
  database_url: "${WEB_UI_GATEWAY_DATABASE_URL}"

platform_service:
  database_url: "${PLATFORM_DATABASE_URL, sqlite:///platform.db}"
"""

# The three kinds of database

SQLITE = """\
session_service:
  type: "sql"
  database_url: "sqlite:///webui-gateway.db"
"""

EXPORT_SQLITE = """\
export WEB_UI_GATEWAY_DATABASE_URL="sqlite:///webui-gateway.db"
"""

POSTGRESQL = """\
session_service:
  type: "sql"
  database_url: "postgresql://user:password@host:5432/webui_db"
"""

EXPORT_POSTGRESQL = """\
export WEB_UI_GATEWAY_DATABASE_URL="postgresql://webui_user:secure_pass@db.example.com:5432/webui_db"
"""

MYSQL = """\
session_service:
  type: "sql"
  database_url: "mysql+pymysql://user:password@host:3306/webui_db"
"""

EXPORT_MYSQL = """\
export WEB_UI_GATEWAY_DATABASE_URL="mysql+pymysql://webui_user:secure_pass@db.example.com:3306/webui_db"
"""

# Agents

AGENT = """\
session_service:
  type: "sql"
  database_url: "${AGENT_DATABASE_URL, sqlite:///agent-session.db}"
  default_behavior: "PERSISTENT"
"""

COMPACTION = """\
auto_summarization:
  # Compact 50% of conversation history when limits are reached
  # Default: 0.25 (25%)
  # Range: 0.0 - 1.0 (e.g., 0.25 = 25%, 0.5 = 50%, 0.8 = 80%)
  compaction_percentage: 0.5
"""

EXPORT_AGENT = """\
export AGENT_DATABASE_URL="postgresql://agent_user:agent_pass@host:5432/agent_db"
"""

AGENT_URL = """\
database_url: "${AGENT_DATABASE_URL, sqlite:///agent-session.db}"
"""

TWO_AGENTS_A = """\
# Agent A Configuration
session_service:
  type: "sql"
  database_url: "${AGENT_A_DATABASE_URL, sqlite:///agent-a.db}"
  default_behavior: "PERSISTENT"
"""

TWO_AGENTS_B = """\
# Agent B Configuration
session_service:
  type: "sql"
  database_url: "${AGENT_B_DATABASE_URL, sqlite:///agent-b.db}"
  default_behavior: "PERSISTENT"
"""

EXPORT_TWO_AGENTS = """\
# Environment variables for isolation
export AGENT_A_DATABASE_URL="postgresql://agent_a_user:pass@host:5432/agent_a_db"
export AGENT_B_DATABASE_URL="postgresql://agent_b_user:pass@host:5432/agent_b_db"
"""

SHARED = """\
# Shared configuration
session_service: &default_session_service
  type: "sql"
  database_url: "${SESSION_DATABASE_URL, sqlite:///session.db}"
  default_behavior: "PERSISTENT"

# Agent references shared config
agents:
  - name: agent-a
    session_service: *default_session_service

  - name: agent-b
    session_service: *default_session_service
"""

# From ephemeral to persistent

EXPORT_MIGRATION = """\
export SESSION_SECRET_KEY="your-secret-key"
export WEB_UI_GATEWAY_DATABASE_URL="postgresql://user:pass@host:5432/webui_db"
"""

MIGRATION_GATEWAY = """\
session_service:
  type: "sql"
  database_url: "${WEB_UI_GATEWAY_DATABASE_URL}"
"""

EXPORT_MIGRATION_AGENT = """\
export AGENT_DATABASE_URL="postgresql://agent_user:pass@host:5432/agent_db"
"""

MIGRATION_AGENT = """\
session_service:
  type: "sql"
  database_url: "${AGENT_DATABASE_URL}"
  default_behavior: "PERSISTENT"
"""
