// A value as the editor holds it: what stands in its text field, and how bytes come of that. Pure.
import type { Bytes } from "./api";
import { bytesOf, fromHex, toBase64, toHex } from "./bytes";

export interface Draft {
  /** large: bytes that are no text, more than a page can edit as digits. */
  format: "text" | "hex" | "large";
  text: string;
  /** Each line end of the text stands for \r\n: a text field can't hold \r. */
  crlf: boolean;
}

export const hex_bytes_max = 64 * 1024;
export const empty_draft: Draft = { format: "text", text: "", crlf: false };

export function hexDraft(bytes: Uint8Array): Draft {
  if (bytes.length > hex_bytes_max) return { format: "large", text: "", crlf: false };
  return { format: "hex", text: toHex(bytes), crlf: false };
}

/** Null when a text field would change it. */
function textDraft(text: string): Draft | null {
  if (!text.includes("\r")) return { format: "text", text, crlf: false };
  const lines = text.replace(/\r\n/g, "");
  return /[\r\n]/.test(lines) ? null : { format: "text", text: text.replace(/\r\n/g, "\n"), crlf: true };
}

/** As text where that is without loss, and hexadecimal digits aren't preferred. */
export function draftOf(value: Bytes, prefer_hex = false): Draft {
  const as_text = value.value_base64 === undefined && !prefer_hex ? textDraft(value.value ?? "") : null;
  return as_text ?? hexDraft(bytesOf(value));
}

/** Null when what was typed isn't what the format says. */
export function bytesOfDraft({ format, text, crlf }: Draft): Bytes | null {
  if (format === "large") return null;
  if (format === "text") return { value: crlf ? text.replace(/\n/g, "\r\n") : text };
  const bytes = fromHex(text);
  return bytes ? { value_base64: toBase64(bytes) } : null;
}

/** Hexadecimal digits as text, where they are valid UTF-8 that a text field can hold. */
export function hexAsText(text: string): Draft | null {
  const bytes = fromHex(text);
  if (!bytes) return null;
  try {
    return textDraft(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch {
    return null;
  }
}

export function sameBytes(one: Bytes, other: Bytes): boolean {
  const texts = one.value_base64 === undefined && other.value_base64 === undefined;
  if (texts) return (one.value ?? "") === (other.value ?? "");
  return toBase64(bytesOf(one)) === toBase64(bytesOf(other));
}
