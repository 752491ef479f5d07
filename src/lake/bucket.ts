import {
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  NoSuchKey,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import type { LakeStore, StoredFile } from "./store.ts";

const CONNECT_MAX_MS = 5_000;
const REQUEST_MAX_MS = 30_000;

/**
 * A lake in a bucket of S3, or of a server that speaks its protocol. Address and keys are the SDK's own settings
 * (https://docs.aws.amazon.com/sdkref/latest/guide/settings-reference.html): AWS_ENDPOINT_URL, AWS_REGION,
 * AWS_ACCESS_KEY_ID and so on. An object is there whole or not at all, so nothing needs a temporary name.
 */
export class BucketStore implements LakeStore {
  readonly #client: S3Client;
  readonly #bucket: string;
  readonly #prefix: string;

  constructor(bucket: string, prefix: string) {
    // Servers other than Amazon's are seldom reached under a name for each bucket. By default nothing times out.
    const requestHandler = { connectionTimeout: CONNECT_MAX_MS, requestTimeout: REQUEST_MAX_MS };
    this.#client = new S3Client({ forcePathStyle: true, requestHandler });
    this.#bucket = bucket;
    this.#prefix = prefix;
  }

  async put(name: string, bytes: Uint8Array): Promise<void> {
    await this.#client.send(new PutObjectCommand({ ...this.#at(name), Body: bytes }));
  }

  async get(name: string): Promise<Uint8Array | null> {
    try {
      const { Body } = await this.#client.send(new GetObjectCommand(this.#at(name)));
      return (await Body?.transformToByteArray()) ?? new Uint8Array();
    } catch (error) {
      if (error instanceof NoSuchKey) return null;
      throw error;
    }
  }

  async *list(prefix: string): AsyncGenerator<StoredFile> {
    for (let token: string | undefined; ; ) {
      const page = await this.#client.send(
        new ListObjectsV2Command({
          Bucket: this.#bucket,
          Prefix: this.#prefix + prefix,
          ...(token !== undefined && { ContinuationToken: token }),
        }),
      );
      for (const { Key = "", Size = 0 } of page.Contents ?? []) {
        yield { name: Key.slice(this.#prefix.length), bytes: Size };
      }
      if (!page.IsTruncated) return;
      token = page.NextContinuationToken;
    }
  }

  async remove(name: string): Promise<void> {
    await this.#client.send(new DeleteObjectCommand(this.#at(name)));
  }

  async sweep(): Promise<void> {}

  #at(name: string): { Bucket: string; Key: string } {
    return { Bucket: this.#bucket, Key: this.#prefix + name };
  }
}
