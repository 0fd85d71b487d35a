// A chat with the AI SDK's `useChat` and its default transport, as a product has it: it reads the history, continues the
// answer that is being written, sends messages with files, and shows every part of the messages. The conversation is in
// the address: `?project=prj_...`. With `&tools`, the page has a tool of its own, and sends what the SDK sends by itself.

import { useChat } from '@ai-sdk/react';
import {
  DefaultChatTransport,
  lastAssistantMessageIsCompleteWithApprovalResponses,
  lastAssistantMessageIsCompleteWithToolCalls,
} from 'ai';
import { createContext, useContext } from 'react';
import { createRoot } from 'react-dom/client';

const address = new URLSearchParams(location.search);
const id = address.get('project');
const TOOLS = [{ name: 'get_place', description: 'Returns the place of the person.', input_schema: { type: 'object' } }];
const Answers = createContext();

const sendAutomaticallyWhen = state =>
  lastAssistantMessageIsCompleteWithToolCalls(state) || lastAssistantMessageIsCompleteWithApprovalResponses(state);

function Chat({ history, transport }) {
  // An answer that waits is in the history. A stream of it would begin again, and drop what a person answers meanwhile.
  const resume = !address.has('tools') || history.at(-1)?.role === 'user';
  const chat = useChat({ id, messages: history, resume, transport, sendAutomaticallyWhen });
  const { messages, sendMessage, status, error } = chat;
  const send = event => {
    event.preventDefault();
    const { text, files } = event.target.elements;
    void sendMessage({ text: text.value, ...(files.files.length > 0 && { files: files.files }) });
  };
  return (
    <Answers value={chat}>
      <main>{messages.map(message => <Message key={message.id} message={message} />)}</main>
      <form onSubmit={send}>
        <textarea name="text" />
        <input name="files" type="file" multiple />
        <button>Send</button>
        <output id="status">{status}</output>
        <output id="error">{error?.message}</output>
      </form>
    </Answers>
  );
}

/// The id of a question is the client's until the page is loaded again, so it is not shown.
function Message({ message: { id, role, metadata, parts } }) {
  return (
    <article className={role} id={role === 'assistant' ? id : undefined}>
      {parts.map((part, place) => <Part key={place} part={part} />)}
      {metadata && <footer>{JSON.stringify(metadata, Object.keys(metadata).concat(USAGE).sort())}</footer>}
    </article>
  );
}

const USAGE = ['inputTokens', 'outputTokens', 'costMicroUsd'];

function Part({ part }) {
  const { type, state } = part;
  const shown = { 'data-part': type, 'data-state': state };
  if (type === 'text') return <p {...shown}>{part.text}</p>;
  if (type === 'reasoning') return <blockquote {...shown}>{part.text}</blockquote>;
  if (type === 'step-start') return <hr {...shown} />;
  if (type === 'source-url') return <a {...shown} href={part.url}>{part.title}</a>;
  if (type === 'file' && part.mediaType.startsWith('image/')) {
    return <img {...shown} alt={part.filename} title={part.mediaType} src={part.url} />;
  }
  if (type === 'file') return <a {...shown} title={part.mediaType} href={part.url} download>{part.filename}</a>;
  if (type.startsWith('tool-')) return <Tool part={part} shown={shown} />;
  return <pre {...shown}>{JSON.stringify([part.id, part.data])}</pre>;
}

function Tool({ part: { type, state, toolCallId, input, output, errorText, approval }, shown }) {
  const { addToolOutput, addToolApprovalResponse } = useContext(Answers);
  const tool = type.slice('tool-'.length);
  const decide = (approved, reason) => () => void addToolApprovalResponse({ id: approval.id, approved, reason });
  const locate = () => void addToolOutput({ tool, toolCallId, output: { city: 'Bern' } });
  return (
    <section {...shown} id={toolCallId}>
      <h2>{`${tool} ${state}`}</h2>
      <pre>{JSON.stringify(input)}</pre>
      <pre>{JSON.stringify(output)}</pre>
      <p>{errorText}</p>
      {state === 'input-available' && tool === 'get_place' && <button name="locate" onClick={locate} />}
      {state === 'approval-requested' && <button name="approve" onClick={decide(true)} />}
      {state === 'approval-requested' && <button name="deny" onClick={decide(false, 'Not this one.')} />}
    </section>
  );
}

async function read(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return response.json();
}

const { csrf_token: token } = await read('/api/auth/csrf-token');
const { items: history } = await read(`/api/projects/${id}/messages?format=ui`);
// The answer to the last question may end before the page asks for its stream. The stream repeats it then.
const last = history.at(-1);
const answerTo = last?.role === 'user' ? `?answerTo=${last.id}` : '';
const transport = new DefaultChatTransport({
  api: '/api/chat',
  headers: { 'x-csrf-token': token },
  ...(address.has('tools')
    ? { body: { client_tools: TOOLS } }
    : { prepareSendMessagesRequest: ({ id, messages }) => ({ body: { id, message: messages.at(-1) } }) }),
  prepareReconnectToStreamRequest: ({ api, id }) => ({ api: `${api}/${id}/stream${answerTo}` }),
});
createRoot(document.body).render(<Chat history={history} transport={transport} />);
