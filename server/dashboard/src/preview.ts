// What a value is in one line of a list.
import type { Bytes } from "./api";
import { sizeText, visibleText } from "./bytes";

const preview_characters = 160;

/** How many bytes base64 stands for, without decoding it. */
export function base64Size(text: string): number {
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  return Math.floor(((text.length - padding) * 3) / 4);
}

/** The beginning of a text, or the size of bytes. Holds no part of the value itself: engines cut strings by reference. */
export function previewOf(value: Bytes): string {
  if (value.value_base64 !== undefined) return `bytes, ${sizeText(base64Size(value.value_base64))}`;
  const beginning = (value.value ?? "").slice(0, preview_characters).split("").join("");
  return visibleText(beginning).replace(/\s+/g, " ");
}
