// The question before a value is deleted.
import { useState } from "preact/hooks";
import { curlLine, deleteRequest, type Value } from "./api";
import { visibleText } from "./bytes";
import { CopyButton } from "./copy";
import { Confirm } from "./dialog";
import { hasStatus, readValue, write } from "./value_requests";

interface Props {
  /** As it was read: only this version is deleted. */
  value: Value;
  base: string;
  onClose(): void;
  onGone(): void;
  /** Somebody else has changed it meanwhile. */
  onConflict(): Promise<void>;
}

export function DeleteValue({ value, base, onClose, onGone, onConflict }: Props) {
  const [was_gone, setWasGone] = useState(false);
  const request = deleteRequest(value.name, value.index);
  const run = async () => {
    try {
      await write(request);
    } catch (error) {
      if (!hasStatus(error, 404) && !hasStatus(error, 412)) throw error;
      if ((await readValue(value.name).catch(() => undefined)) === null) {
        setWasGone(true);
        return "Somebody else has deleted it already, or it has expired.";
      }
      await onConflict();
      return "";
    }
    onGone();
    return "Deleted.";
  };
  return (
    <Confirm
      title={`Delete ${visibleText(value.name)}?`}
      action="Delete"
      dangerous
      onClose={was_gone ? onGone : onClose}
      run={run}
    >
      <p>
        It is deleted only if its index is still {value.index}. All streams that follow it are told. <CopyButton
          text={() => curlLine(base, request)}
        />
      </p>
    </Confirm>
  );
}
